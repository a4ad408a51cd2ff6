"""AIRIS-MON beside a Django application, in one ASGI process.

    pip install django uvicorn
    uvicorn --lifespan on examples.django_app:app

Then: curl http://127.0.0.1:8000/api/v1/aiops/health

Django's router knows no mounts of ASGI applications, so a few lines before it choose by the path. In a project of
your own only `app` and `MOUNT` are needed, in asgi.py.

Whoever reaches this application reaches the mount: if that is more than this machine, ask for keys by adding
"security.api_keys": "required" to the config, or protect the path with your own authentication.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from airis_mon import AIOpsManager

MOUNT = "/api/v1/aiops"


def home(_: HttpRequest) -> JsonResponse:
    """A view of your own, beside."""
    return JsonResponse({"anomalies": f"{MOUNT}/anomalies", "docs": f"{MOUNT}/docs"})


urlpatterns = [path("", home)]
if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])

manager = AIOpsManager(config={"data_dir": "./data"})
aiops = manager.asgi()
django = get_asgi_application()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Sends each connection to the one or the other; starts and stops the engine with the server."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == MOUNT or scope["path"].startswith(f"{MOUNT}/"):
        await aiops({**scope, "root_path": scope.get("root_path", "") + MOUNT}, receive, send)
    else:
        await django(scope, receive, send)


async def lifespan(receive: Any, send: Any) -> None:
    """The engine's life: Django handles no lifespan, so it stands here."""
    await receive()
    await manager.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await manager.stop()
    await send({"type": "lifespan.shutdown.complete"})
