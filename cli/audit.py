"""`stagecraft audit`: proving that the log is as it was written."""

from __future__ import annotations

from cli.audit_export import export_command, verify_export_command
from cli.settings import group

app = group("Prove that the log is as it was written.")
app.command("export")(export_command)
app.command("verify-export")(verify_export_command)
