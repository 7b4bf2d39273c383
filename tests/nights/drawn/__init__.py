"""Nights that a seed draws: a fleet, its healthy habits, and, where it is asked for, exactly one fault that is certain.

The library's nights are written by hand and say exactly what is to be said. These are drawn, and of each only what
must hold of any night is asked: a healthy one is a GO and says nothing; one with a certain fault is no GO, an alert
names what is at fault in time, and next to nothing else is said.
"""
