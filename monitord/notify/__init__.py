"""Notifications: from what a cycle decided to messages that people and programs receive."""
