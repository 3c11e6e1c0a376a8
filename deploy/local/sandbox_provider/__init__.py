"""A payment provider for this machine: hosted pay pages, signed webhooks, a journal, and faults by a switch.

It plays another company: it shares no code with checkout but the machinery for settings and logs.
"""
