"""What a registry has, as rows for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.feature_store.apply import without_password

if TYPE_CHECKING:
    from recserve.feature_store.records import Registry


def listing(registry: Registry) -> dict[str, list[dict[str, Any]]]:
    """Rows by what they list: project, entities, views, fields, labels, models."""
    stores = (("offline", registry.project.offline), ("online", registry.project.online))
    return {
        "project": [
            {
                "project": registry.project.name,
                "store": name,
                "kind": place.kind,
                "place": without_password(place.url) or place.path,
            }
            for name, place in stores
        ],
        "entities": [{"entity": e.name, "join_id": e.join_id} for e in registry.entities.values()],
        "views": [
            {
                "view": view.name,
                "kind": view.kind,
                "entity": view.entity,
                "key": view.key,
                "event_time": view.event_time,
                "ttl_s": view.ttl_s,
                "features": len(view.features),
                "online": view.online,
            }
            for view in registry.views.values()
        ],
        "fields": [
            {"view": view.name, "field": name, "type": kind, "role": _role(view, name)}
            for view in registry.views.values()
            for name, kind in view.fields.items()
        ],
        "labels": [
            {"label": one.name, "table": one.table or one.name, "event_time": one.event_time}
            for one in registry.labels.values()
        ],
        "models": [
            {
                "model": model.name,
                "feature": feature.alias,
                "of": f"{feature.view}.{feature.feature}",
                "entity": registry.views[feature.view].entity,
            }
            for model in registry.models.values()
            for feature in model.features
        ],
    }


def _role(view: Any, name: str) -> str:
    roles = {view.key: "key", view.event_time: "event time"}
    if view.kind == "sequence":
        roles |= {view.item: "item", view.event: "event", view.play_time: "play time"}
    return roles.get(name, "")
