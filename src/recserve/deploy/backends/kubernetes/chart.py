"""The same manifests as a Helm chart: what differs between clusters is in values.yaml.

values.yaml                     image, gateway, and per service: instances, resources, weight
templates/<service>-<kind>.yaml the manifest, with those places taken from the values

With the values as they are, it gives what `render` gives. Ours: a chart's namespace is that of the release.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from recserve import __version__
from recserve.deploy.backends.kubernetes.files import file_name
from recserve.deploy.backends.kubernetes.manifest import Verbatim, yaml_of
from recserve.deploy.backends.kubernetes.names import kubernetes_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.deploy.backends.kubernetes.manifest import Manifest
    from recserve.deploy.backends.kubernetes.render import Rendered
    from recserve.deploy.backends.kubernetes.settings import Settings


def chart_of(services: Sequence[Rendered], routes: Sequence[Manifest], settings: Settings) -> dict[str, str]:
    """Text by path."""
    values: dict[str, Any] = {"image": settings.image, "gateway": settings.gateway, "services": {}}
    files = {}
    for service in services:
        key = _key(service.name)
        own = values["services"].setdefault(key, {})
        for manifest in service.manifests:
            made = _template(manifest)
            _lift(made, f".Values.services.{key}", own, settings)
            files[f"templates/{file_name(service.name, manifest)}"] = yaml_of(made)
    for route in routes:
        made = _template(route)
        made["spec"]["parentRefs"][0]["name"] = _value(".Values.gateway")
        for backend in made["spec"]["rules"][0]["backendRefs"]:
            key = _key(backend["name"])
            values["services"][key]["weight"] = backend["weight"]
            backend["weight"] = _value(f".Values.services.{key}.weight")
        files[f"templates/{file_name(route['metadata']['name'], route)}"] = yaml_of(made)
    name = (
        services[0].name
        if len(services) == 1
        else kubernetes_name(services[0].deployment.group or "services")
    )
    about = {
        "apiVersion": "v2",
        "name": name,
        "description": "Generated from service documents by recserve; not run on a cluster by its makers",
        "type": "application",
        "version": "0.1.0",
        "appVersion": __version__,
    }
    return {"Chart.yaml": yaml_of(about), "values.yaml": yaml_of(values), **files}


def _lift(made: Manifest, path: str, own: dict[str, Any], settings: Settings) -> None:
    """Put places of a manifest into the values, and references in their stead."""
    spec = made.get("spec", {})
    if made["kind"] == "Deployment":
        container = spec["template"]["spec"]["containers"][0]
        own["resources"] = container["resources"]
        container["resources"] = _value(f"{path}.resources")
        if "replicas" in spec:
            own["instances"] = spec["replicas"]
            spec["replicas"] = _value(f"{path}.instances")
        for one in (container, *spec["template"]["spec"].get("initContainers", ())):
            if one["image"] == settings.image:
                one["image"] = _value(".Values.image")
    elif made["kind"] == "HorizontalPodAutoscaler":
        own["instances"] = {"min": spec["minReplicas"], "max": spec["maxReplicas"]}
        spec["minReplicas"] = _value(f"{path}.instances.min")
        spec["maxReplicas"] = _value(f"{path}.instances.max")
    elif made["kind"] == "HTTPRoute":
        spec["parentRefs"][0]["name"] = _value(".Values.gateway")


def _template(manifest: Manifest) -> Manifest:
    made = _escaped(copy.deepcopy(manifest))
    made["metadata"]["namespace"] = _value(".Release.Namespace")
    return dict(made)


def _escaped(value: Any) -> Any:
    """A document may have braces that Helm would take for its own."""
    if isinstance(value, dict):
        return {key: _escaped(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_escaped(below) for below in value]
    if isinstance(value, str):
        return value.replace("{{", "{{ `{{` }}")
    return value


def _value(path: str) -> Verbatim:
    """A value is put in as JSON, which is YAML too, whatever its type is."""
    return Verbatim(f"{{{{ {path} | toJson }}}}")


def _key(name: str) -> str:
    """Names of values have no dashes: Helm's templates would read a subtraction."""
    return name.replace("-", "_")
