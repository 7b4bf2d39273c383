"""State directories in memory, where there is room for them."""

from tests.support.memory import tmp_path as tmp_path
