# One image for every service of ours: the job, MLflow's server, the dashboard, Dask's scheduler and workers, the model server.
# The same image everywhere is also what makes scores equal to the last bit everywhere.
FROM python:3.11.13-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HOME=/tmp \
    TZ=UTC \
    OPENBLAS_NUM_THREADS=1 \
    OMP_NUM_THREADS=1 \
    MLFLOW_DISABLE_TELEMETRY=true

RUN groupadd --gid 10001 hpo && useradd --uid 10001 --gid hpo --no-create-home --shell /usr/sbin/nologin hpo \
    && install -d -o hpo -g hpo /work /artifacts

COPY requirements.txt requirements-build.txt /src/
RUN pip install --require-hashes -r /src/requirements.txt -r /src/requirements-build.txt

COPY pyproject.toml README.md /src/
COPY hpo /src/hpo
# Without isolation nothing is fetched here.
RUN pip install --no-deps --no-build-isolation --compile /src

USER 10001:10001
WORKDIR /work
ENTRYPOINT ["python", "-m", "hpo.run"]
