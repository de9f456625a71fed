"""Reads and checks a registry file: everything that is wrong is told at once, with line and column.

feature_store.yaml ──document──▶ nodes ──reading──▶ records ──checks──▶ Registry
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.feature_store import types
from recserve.feature_store.checks import IDS, TIMES, check_field, check_sequences, check_times
from recserve.feature_store.document import read_document
from recserve.feature_store.reading import Problems, check_name, objects, record, shown
from recserve.feature_store.records import (
    Entity,
    Feature,
    Labels,
    Model,
    Place,
    Project,
    Registry,
    Sequence,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from recserve.feature_store.document import Node

SECTIONS = ("project", "entities", "views", "labels", "models")
_NEEDS_URL = ("postgresql", "hologres", "redis", "feast")
_SEQUENCE_ONLY = ("item", "event", "play_time", "unique_by", "play_time_over", "sequences")


def load(path: Path) -> Registry:
    """Read a registry file; raises ConfigError with every problem of it."""
    root = read_document(path)
    problems = Problems(path)
    registry = _Reading(root, problems).registry(path)
    problems.raise_all()
    assert registry is not None  # without problems there is one
    return registry


def named(found: Mapping[str, Any], name: str, what: str, where: str) -> Any:
    """The record of that name; raises ConfigError with the names that there are."""
    if name not in found:
        hint = did_you_mean(name, found) or f"; known: {', '.join(found) or 'none'}"
        raise ConfigError(f"{where}: there is no {what} '{name}'{hint}")
    return found[name]


class _Reading:
    """One pass over the file; names that later parts refer to are known from earlier ones."""

    def __init__(self, root: Node, problems: Problems) -> None:
        self.root = root
        self.problems = problems

    def registry(self, path: Path) -> Registry | None:
        sections: dict[str, Node] = self.root.value
        for key in sections:
            if key not in SECTIONS:
                self.problems.unknown(self.root.keys[key], "unknown section", key, SECTIONS)
        project = None
        if "project" in sections:
            project = self._project(sections["project"])
        else:
            self.problems.note((1, 1), "the section 'project' is missing")
        self.entities = self._section("entities", self._entity)
        self.views = self._section("views", self._view)
        self.labels = self._section("labels", self._labels)
        models = self._section("models", self._model)
        if project is None:
            return None
        return Registry(path, project, self.entities, self.views, self.labels, models)

    def _section(self, name: str, read: Any) -> dict[str, Any]:
        node = self.root.value.get(name)
        return objects(node, name, self.problems, read) if node else {}

    def _names(self, section: str) -> Collection[str]:
        """Names of a section, also of records that are wrong: what refers to them is not wrong too."""
        node = self.root.value.get(section)
        return node.value.keys() if node and isinstance(node.value, dict) else ()

    # --- records ------------------------------------------------------------------------------------------

    def _project(self, node: Node) -> Project | None:
        inner = {"offline": self._place, "online": self._place}
        project = record(node, Project, "project", self.problems, inner)
        if project is None or project.offline is None or project.online is None:
            return None
        if project.online.kind == "feast":
            self.problems.note(node.value["online"].place, "project.online: feast is read offline only")
        return project

    def _place(self, node: Node, where: str) -> Place | None:
        place = record(node, Place, where, self.problems)
        if place and place.kind in _NEEDS_URL and not place.url:
            self.problems.note(node.place, f"{where}: {place.kind} is reached by a 'url', which is missing")
        if place and place.kind == "file" and place.url:
            self.problems.note(node.place, f"{where}: files are under 'path', also where that is a URL")
        return place

    def _entity(self, node: Node, where: str, name: str) -> Entity | None:
        return record(node, Entity, where, self.problems, name=name)

    def _view(self, node: Node, where: str, name: str) -> View | None:
        inner = {
            "fields": self._fields,
            "play_time_over": self._play_times,
            "sequences": lambda entry, at: objects(entry, at, self.problems, self._sequence),
        }
        view = record(node, View, where, self.problems, inner, name=name, fields={})
        if view is None:
            return None
        before = len(self.problems.found)
        view = self._with_key(node, where, view)
        check_times(node, where, view, self.problems)
        if not view.fields:
            self.problems.note(node.place, f"{where}: 'fields' is missing: names and types of the columns")
        if view.kind == "sequence":
            check_sequences(node, where, view, self.problems)
        else:
            for key in _SEQUENCE_ONLY:
                if key in node.value:
                    self.problems.note(node.keys[key], f"{where}.{key} is for views of kind 'sequence'")
        return view if len(self.problems.found) == before else None

    def _with_key(self, node: Node, where: str, view: View) -> View:
        if view.entity not in self._names("entities"):
            self.problems.unknown(
                node.value["entity"].place,
                f"{where}.entity: there is no entity",
                view.entity,
                self._names("entities"),
            )
        entity = self.entities.get(view.entity)
        key = view.key or (entity.join_id if entity else "")
        if key:
            place = node.value["key"].place if "key" in node.value else node.place
            check_field(place, f"{where}.key", key, fields=view.fields, kinds=IDS, problems=self.problems)
        return replace(view, key=key)

    def _labels(self, node: Node, where: str, name: str) -> Labels | None:
        labels = record(node, Labels, where, self.problems, {"fields": self._fields}, name=name, fields={})
        if labels:
            place = node.value["event_time"].place
            at, named_by = f"{where}.event_time", labels.event_time
            check_field(place, at, named_by, fields=labels.fields, kinds=TIMES, problems=self.problems)
        return labels

    def _fields(self, node: Node, where: str) -> dict[str, str]:
        if not isinstance(node.value, dict):
            self.problems.note(node.place, f"{where}: names and types are expected, not {shown(node)}")
            return {}
        found = {}
        for name, entry in node.value.items():
            check_name(name, node.keys[name], where, self.problems)
            spelled = types.spelled(entry.value) if isinstance(entry.value, str) else shown(entry)
            if spelled not in types.TYPES:
                hint = did_you_mean(spelled, types.TYPES)
                known = hint or f"; known: {', '.join(types.TYPES)}"
                self.problems.note(entry.place, f"{where}.{name}: unknown type '{spelled}'{known}")
            found[name] = spelled
        return found

    def _play_times(self, node: Node, where: str) -> dict[str, float]:
        plain = node.plain()
        numbers = isinstance(plain, dict) and all(
            isinstance(over, (int, float)) and not isinstance(over, bool) for over in plain.values()
        )
        if not numbers:
            self.problems.note(node.place, f"{where}: events and numbers are expected, such as {{play: 5}}")
            return {}
        return {event: float(over) for event, over in plain.items()}

    def _sequence(self, node: Node, where: str, name: str) -> Sequence | None:
        return record(node, Sequence, where, self.problems, name=name)

    # --- models -------------------------------------------------------------------------------------------

    def _model(self, node: Node, where: str, name: str) -> Model | None:
        inner = {"features": self._model_features}
        model = record(node, Model, where, self.problems, inner, name=name, features=())
        if model is None:
            return None
        if not node.value.get("features") or node.value["features"].value in (None, []):
            self.problems.note(node.place, f"{where}: 'features' is missing: a list of views and features")
        if model.label and model.label not in self._names("labels"):
            self.problems.unknown(
                node.value["label"].place,
                f"{where}.label: there is no label table",
                model.label,
                self._names("labels"),
            )
        return model

    def _model_features(self, node: Node, where: str) -> tuple[Feature, ...]:
        if not isinstance(node.value, list):
            self.problems.note(node.place, f"{where}: a list is expected, such as [{{view: item_base}}]")
            return ()
        found: list[Feature] = []
        taken = {entity.join_id: f"the join id of '{entity.name}'" for entity in self.entities.values()}
        for place, entry in enumerate(node.value):
            at = f"{where}[{place}]"
            feature = record(entry, Feature, at, self.problems)
            for one in self._each(entry, at, feature) if feature else ():
                found.append(one)
                own = f"{one.view}.{one.feature}"
                for column in self.views[one.view].outputs(one.feature, one.alias):
                    if taken.setdefault(column, own) != own or found.count(one) > 1:
                        self.problems.note(
                            entry.place, f"{at}: '{column}' is {taken[column]} already; give it an 'alias'"
                        )
                        break
        return tuple(found)

    def _each(self, node: Node, where: str, feature: Feature) -> list[Feature]:
        if feature.view not in self._names("views"):
            known = self._names("views")
            self.problems.unknown(node.value["view"].place, f"{where}: there is no view", feature.view, known)
        view = self.views.get(feature.view)
        if view is None:
            self._check_in_wrong_view(node, where, feature)
            return []
        if not feature.feature:
            if feature.alias:
                self.problems.note(
                    node.place, f"{where}: an 'alias' is of one 'feature', not of a whole view"
                )
            return [Feature(view.name, name, name) for name in view.features]
        by_offline = {sequence.offline: name for name, sequence in view.sequences.items()}
        name = by_offline.get(feature.feature, feature.feature)
        if name not in view.features:
            self.problems.unknown(
                node.value["feature"].place,
                f"{where}: view '{view.name}' has no feature",
                feature.feature,
                view.features,
            )
            return []
        return [Feature(view.name, name, feature.alias or name)]

    def _check_in_wrong_view(self, node: Node, where: str, feature: Feature) -> None:
        """Of a view that could not be read: is there something of that name at all?"""
        views = self.root.value.get("views")
        view = views.value.get(feature.view) if views and isinstance(views.value, dict) else None
        if view is None or not isinstance(view.value, dict) or not feature.feature:
            return
        parts = [view.value.get(key) for key in ("fields", "sequences")]
        known = {name for part in parts if part and isinstance(part.value, dict) for name in part.value}
        if "sequences" not in view.value and known and feature.feature not in known:
            place = node.value["feature"].place
            self.problems.unknown(
                place, f"{where}: view '{feature.view}' has no feature", feature.feature, known
            )
