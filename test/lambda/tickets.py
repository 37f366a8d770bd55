"""The shape of AgentCore's samples in Python: the tool's name comes in the client context, behind the target's."""

from types import SimpleNamespace


def handler(event, context):
    name = context.client_context.custom["bedrockAgentCoreToolName"]
    tool = name[name.index("___") + 3 :] if "___" in name else name
    if tool == "get_ticket_tool":
        return {"ticketId": event["ticketId"], "status": "OPEN"}
    return {"error": f"unknown tool {tool}"}


def offline(event, context):
    """The emulator hands the client context over as it came; AWS's runtime makes an object of it."""
    given = getattr(context, "clientContext", None) or {}
    context.client_context = SimpleNamespace(custom=given.get("custom", {}), env=given.get("env", {}))
    return handler(event, context)
