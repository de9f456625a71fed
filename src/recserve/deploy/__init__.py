"""Services on one machine or many: what should run, what runs, and the way from one to the other.

    recserve create service.json ──REST──▶ api ──▶ store (SQLite) ◀── reconciler, once a second
                                                                          │ plan: desired against observed
                                  backend: local │ ray │ kubernetes ◀┘
                                        │ starts
                                  instance: a process with a port ──ready──▶ discovery, gateway

Everything above the backend (readiness, rolling updates, versions, weights, groups, autoscaling) is written
once; a backend only starts, stops and observes processes.
"""
