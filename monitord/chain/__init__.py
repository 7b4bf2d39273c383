"""Solana's JSON-RPC: one node, and several of which one is believed."""
