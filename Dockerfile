# Small image with the exporter alone: its wheel and the locked packages, every file checked by hash.
#   docker build -t fleet-tls-exporter .
#   docker run --read-only -p 9883:9883 -v ./config.yml:/etc/fleet-tls-exporter/config.yml:ro \
#     -v fleet-tls-state:/var/lib/fleet-tls-exporter fleet-tls-exporter

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
RUN python -m venv /opt/fleet-tls-exporter \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock \
 && /opt/fleet-tls-exporter/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY rules rules
COPY dashboards dashboards
COPY docs/runbooks docs/runbooks
COPY exporter exporter
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /src/dist . \
 && /opt/fleet-tls-exporter/bin/pip install --no-cache-dir --no-deps --no-index /src/dist/*.whl \
 && /opt/fleet-tls-exporter/bin/pip uninstall --yes pip

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 9883 --home-dir /var/lib/fleet-tls-exporter --create-home \
      --shell /usr/sbin/nologin fleet-tls-exporter
COPY --from=build /opt/fleet-tls-exporter /opt/fleet-tls-exporter
# STATE_DIRECTORY is where the store goes, as under systemd; all else may be read-only
ENV PATH=/opt/fleet-tls-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/fleet-tls-exporter
USER fleet-tls-exporter
VOLUME /var/lib/fleet-tls-exporter
EXPOSE 9883
# python, not curl: the image holds nothing else. HEALTH_URL for another port or https
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(os.environ.get('HEALTH_URL', 'http://127.0.0.1:9883/-/healthy'), timeout=4)"]
ENTRYPOINT ["fleet-tls-exporter"]
CMD ["run", "--config", "/etc/fleet-tls-exporter/config.yml"]
