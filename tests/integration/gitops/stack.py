"""A project with rules for two environments, and the Compose file that was written for them."""

from __future__ import annotations

COMPOSE = """\
x-note: kept out of what runs
networks: {net: {driver: bridge}}
volumes: {records: {}, cache: {}}
services:
  edge:
    image: traefik:v3.7
    networks: [net]
    ports: ["80:80", "443:443"]
    env_file: ["${PLATFORM_ENV_FILE:-.env.none}"]
    command: []
  store:
    image: store:16
    networks: [net]
    env_file:
      - path: ${PLATFORM_ENV_FILE:-.env.none}
        format: raw
    environment: {OWNER: "${STORE_OWNER:-nobody}", GIVEN: here}
    volumes:
      - ${STORE_VOLUME:-records}:/var/lib/store
      - ${STORE_INIT_SCRIPTS:-./scripts}:/init:ro
    ports: ["${STORE_PORT_PUBLISH:-}"]
    healthcheck: {test: ["CMD-SHELL", "check $$OWNER"], interval: 5s}
  cache:
    image: cache:7
    networks: [net]
    volumes: ["${CACHE_VOLUME:-cache}:/data"]
    ports: ["${CACHE_PORT_PUBLISH:-}", "127.0.0.1:9090:9090"]
    labels: {published: "${CACHE_PORT_PUBLISH}"}
  web:
    profiles: [app]
    image: web:${IMAGE_TAG:-latest}
    networks: [net]
    environment: {STORE: "${STORE_HOST:-unknown}"}
    depends_on: {store: {condition: service_healthy}, api: {condition: service_started}}
    links: ["api:backend"]
  api:
    profiles: [app]
    image: api:${IMAGE_TAG:-latest}
    networks: [net]
    depends_on: [cache]
"""
PROJECT = """\
project: {name: stack}
services:
  edge: {role: gateway}
  store: {role: db}
  cache: {role: cache}
environments:
  dev:
    hosts: {gateway: [local], db: [local], cache: [local], app: [local]}
    env_file: .env.dev
    store_volume: records
    store_init_scripts: ./scripts
    cache_volume: cache
    store_port_publish: "5433:5432"
    cache_port_publish: "6379:6379"
    traefik: {mode: mkcert, mkcert_cert_dir: ./certs, dashboard_auth: basic, cors_for_logto: true}
    web: {mode: external, url: "http://localhost:5173"}
    api: {mode: external, url: "http://localhost:4000/v1"}
  prod:
    hosts: {gateway: [local], db: [local], cache: [local], app: [local]}
    env_file: /etc/platform/env
    store_volume: /srv/store
    store_init_scripts: /opt/scripts
    cache_volume: /srv/cache
    store_port_publish: ""
    cache_port_publish: ""
    traefik: {mode: acme, acme_email_env: OPERATOR, acme_storage: /srv/traefik/acme.json, hsts: true}
    web: {mode: container}
    api: {mode: container}
"""
FILES: dict[str, str | bytes] = {
    "stagecraft.yml": PROJECT,
    "compose.yaml": COMPOSE,
    ".env": "OPERATOR=ops@example.org\nSTORE_OWNER=lowest\n",
    ".env.dev": "STORE_OWNER=dev\nLOGTO_DOMAIN=login.localdev.test\nGIVEN=elsewhere\nMORE=1\n",
    "scripts/first.sql": "select 1",
    "certs/shop.pem": "certificate",
    "certs/shop-key.pem": "key",
}
