"""A contract type for import-linter: an allow-list. Its own types can only forbid what they name."""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedImports(Contract):
    """The modules of some packages import each other and what is allowed, and nothing else.

    Configuration: `modules` are the packages, `allowed` the other packages, by their first names.
    """

    type_name = "allowed_imports"

    # Any: an instance has the configured value in the place of the field.
    modules: Any = fields.ListField(subfield=fields.StringField())
    allowed: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        packages = set[str](self.modules)
        importers = packages.union(*map(graph.find_descendants, packages))
        imports = {
            (importer, name) for importer in importers for name in graph.find_modules_directly_imported_by(importer)
        }
        forbidden = sorted((importer, name) for importer, name in imports if name not in importers | set(self.allowed))
        return ContractCheck(kept=not forbidden, metadata={"forbidden": forbidden})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, name in check.metadata["forbidden"]:
            output.print_error(f"{importer} is not allowed to import {name}", bold=False)
            output.new_line()
