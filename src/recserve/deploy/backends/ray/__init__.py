"""Instances on the nodes of a Ray cluster: Ray finds a place and tells of nodes that die; no request sees it.

    RayBackend (backend.py) ──▶ Placed (placed.py), a thread each ──▶ Cluster (cluster.py), all that asks Ray
                                                                         └──▶ Keeper (keeper.py), on a node

An actor per instance, detached: it outlives the control plane, and the next one finds it by its name.

| who dies    | what follows                                                                     |
|-------------|----------------------------------------------------------------------------------|
| the process | its supervisor starts it again, in place                                         |
| the actor   | another one on the same node takes over the process, which serves all the while  |
| the node    | LOST; the reconciler replaces the instance, under another id                     |
| the head    | instances go on, watched; nothing new is placed until it is back                 |

A process leads a session of its own and asks for no signal at its parent's death, so that an actor that is
killed does not take it along. Ours: what a node that comes back still runs is taken over and told as
observed; it is stopped then, because nobody wants its id any more. Who is sent requests is up to probes.
"""
