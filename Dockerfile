# syntax=docker/dockerfile:1
# A worker, on the CPU or on CUDA:
#
#   docker build -t emberharmony .
#   docker build -t emberharmony:cuda --build-arg DEVICE=cuda .
#   docker run --rm -e PREFECT_API_URL=http://server:4200/api -e PREFECT_API_AUTH_STRING emberharmony            # pool cpu
#   docker run --rm --gpus all -e POOL=gpu -e PREFECT_API_URL=... -e PREFECT_API_AUTH_STRING emberharmony:cuda   # pool gpu
#
# Hosts share a bucket and the server, no folder. Credentials come by the default chain of the host's cloud (deploy/README.md).
# The job templates in deploy/templates start the same image for single flow runs.
#
# Apple silicon works natively, not in a container: containers cannot use Metal (docs/scale.md).

ARG DEVICE=cpu
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG DEVICE
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# torch is installed first and separately: the default wheels on Linux contain CUDA, which a CPU image does not need.
COPY constraints.txt ./
RUN if [ "$DEVICE" = cuda ]; then pip install -c constraints.txt torch; fi
COPY pyproject.toml README.md ./
COPY emberharmony emberharmony
COPY tasks tasks
COPY flows flows
COPY configs configs
RUN pip install -c constraints.txt ".[bigquery,cloud,delta,dask]"

FROM python:${PYTHON}-slim-bookworm
ARG DEVICE
COPY --from=build /opt/venv /opt/venv
RUN useradd --create-home --uid 10001 ember
USER 10001
WORKDIR /home/ember
# torch's wheels contain the CUDA libraries; `--gpus all` provides the driver.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=passive \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 \
    PREFECT_LOGGING_LEVEL=WARNING \
    PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL=INFO \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    POOL=cpu \
    LIMIT=1
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=10)"]
# With `exec`, the worker is process 1 and receives the container's SIGTERM; it then lets its flow runs end, or cancels them.
CMD ["sh", "-c", "exec prefect worker start --pool \"$POOL\" --limit \"$LIMIT\" --with-healthcheck"]
