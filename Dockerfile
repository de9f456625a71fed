# An image that serves one model. It is built by those who use it; our tests look at it and run its commands, but
# have no container engine to build it with.
#
#   docker build -t recserve .
#   docker run -p 8000:8000 -v ./my_export:/model:ro -v ./service.json:/service/service.json:ro recserve
#
# torch comes from pip's index. Where that gives CUDA builds (2 GB more), name an index of CPU builds:
#   docker build --build-arg TORCH_INDEX=<url> -t recserve .
# For GPUs: --build-arg EXTRA=torch-cuda, and run it with --gpus all.

ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY pyproject.toml CMakeLists.txt LICENSE README.md ./
COPY cpp cpp
COPY proto proto
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
ARG EXTRA=torch
ARG SOURCES=postgres,redis,object-store,sql
ARG TORCH_INDEX=
# libgomp: torch's threads. tcmalloc: less CPU per request (docs/operate.md). tini is not needed: recserve handles SIGTERM
# and has no children of its own.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 libtcmalloc-minimal4 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --home-dir /nonexistent recserve
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url ${TORCH_INDEX}} \
      "$(ls /wheels/recserve-*.whl)[${EXTRA},${SOURCES}]" \
 && rm -rf /wheels
# Native libraries start as many threads as the host has cores, whatever the container may use.
ENV OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Alive is /healthz; balancers ask /readyz, which waits for the model and its items.
HEALTHCHECK --interval=10s --timeout=2s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["recserve"]
CMD ["serve", "/model", "--config", "/service/service.json", "--host", "0.0.0.0", "--port", "8000"]
