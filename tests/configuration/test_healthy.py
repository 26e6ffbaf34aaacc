"""Healthy applications of widespread kinds: none of the checks finds anything."""

import json
from pathlib import Path
from typing import Any

import pytest

from readiness.areas.configuration.config import App
from readiness.areas.configuration.probes.declared import of_declared
from readiness.areas.configuration.probes.running import of_running
from readiness.config.models import Config
from readiness.model.evidence import Evidence, Outcome
from tests.support.monitored_service import suite

HEX = "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069"
B64 = "q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng="
PASSWORD = "Kd8w2-Zq7vPx!m"

RAILS = f"""\
# Mastodon and its kin
LOCAL_DOMAIN=social.acme.io
RAILS_ENV=production
NODE_ENV=production
RAILS_LOG_LEVEL=warn
REDIS_HOST=redis
DB_HOST=/var/run/postgresql
DB_PASS={PASSWORD}
SECRET_KEY_BASE={HEX}{HEX}
OTP_SECRET={HEX}
VAPID_PRIVATE_KEY={B64}
VAPID_PUBLIC_KEY=BIqa5sQ
SMTP_FROM_ADDRESS="Acme <notifications@acme.io>"
SMTP_PASSWORD=
S3_ENABLED=true
S3_ALIAS_HOST=files.acme.io
IP_RETENTION_PERIOD=31556952
"""
LARAVEL = f"""\
APP_NAME="Acme Shop"
APP_ENV=production
APP_KEY=base64:{B64}
APP_DEBUG=false
APP_URL=https://shop.acme.io
LOG_CHANNEL=stack
LOG_LEVEL=warning
DB_CONNECTION=pgsql
DB_HOST=db
DB_PASSWORD="{PASSWORD}"
CACHE_DRIVER=redis
MAIL_FROM_NAME="${{APP_NAME}}"
VITE_APP_NAME="${{APP_NAME}}"
PUSHER_APP_KEY=
"""
NEXT = f"""\
DATABASE_URL="postgresql://shop:{PASSWORD.replace("!", "%21")}@db:5432/shop?schema=public"
NEXTAUTH_URL=https://shop.acme.io
NEXTAUTH_SECRET='{B64}'
NEXT_PUBLIC_WEBAPP_URL='https://shop.acme.io'
NEXT_PUBLIC_MAPBOX_TOKEN=pk.x
CRON_API_KEY='{HEX}'
STRIPE_SECRET_KEY=sk_live_51H8xYzKq2eZvKYlo2C0b7WnT
STRIPE_PUBLISHABLE_KEY=pk_live_1
DEBUG=http,sql
LOG_LEVEL=info
NO_PROXY=localhost,127.0.0.1,.svc
OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318
SENTRY_DSN=https://4711@o1.ingest.sentry.io/1
"""
DJANGO = f"""\
DJANGO_SETTINGS_MODULE=shop.settings.production
DJANGO_SECRET_KEY='k$7Qz9wXb2#LmN4vRt(Yp8s&Uj3*hF6gTd0eKc5iOa1lMxWn'
DJANGO_ALLOWED_HOSTS=.acme.io,localhost,127.0.0.1
DJANGO_DEBUG=0
DEBUG=
EMAIL_URL=smtp+tls://shop:{PASSWORD}@mail.acme.io:587
CELERY_BROKER_URL=amqps://shop:{HEX}@mq:5671/shop
TEST_RUNNER=none
"""
SPRING = f"""\
SPRING_PROFILES_ACTIVE=prod,postgres
SPRING_DATASOURCE_URL=jdbc:postgresql://db:5432/shop
SPRING_DATASOURCE_PASSWORD={PASSWORD}
LOGGING_LEVEL_ROOT=INFO
JAVA_TOOL_OPTIONS=-Xmx512m -Dlog.pattern=%d{{HH:mm:ss}}
MANAGEMENT_SERVER_ADDRESS=127.0.0.1
SERVER_PORT=8080
"""
DOTNET = f"""\
ASPNETCORE_ENVIRONMENT=Production
ASPNETCORE_URLS=http://+:8080
ConnectionStrings__Default="Server=db;User Id=shop;Password={HEX};Encrypt=true"
DOTNET_RUNNING_IN_CONTAINER=true
"""
GO = f"""\
GIN_MODE=release
HTTP_ADDR=0.0.0.0:8080
BIND_ADDRESS=127.0.0.1:9090
DB_DSN=host=db user=shop password={HEX} sslmode=verify-full
JWT_SIGNING_KEY={B64}
TOKEN_TTL=15m
PASSWORD_MIN_LENGTH=12
"""
REFERENCES = f"""\
DB_PASSWORD=vault:secret/data/shop#password
API_TOKEN=op://prod/shop/token
STRIPE_API_KEY=arn:aws:secretsmanager:eu-central-1:1:secret:shop
SESSION_SECRET=ENC[AES256_GCM,data:p8w=,iv:x,tag:y,type:str]
TLS_KEY_FILE=/etc/tls/shop.key
CSRF_SECRET={HEX}
"""
FILES = {
    "rails": RAILS, "laravel": LARAVEL, "next": NEXT, "django": DJANGO, "spring": SPRING,
    "dotnet": DOTNET, "go": GO, "references": REFERENCES,
}  # fmt: skip


def app(needs: list[str], **tables: Any) -> App:
    described = {"needs": needs, "production": True, **tables}
    found = Config.model_validate(
        {"target": {"name": "t"}, "configuration": {"applications": {"shop": described}}}
    ).named()
    assert found.configuration
    return found.configuration.applications["shop"]


def judge_all(one: App) -> None:
    """Every check on the application passes, without a warning."""
    for module, check in (
        ("environment", "environment"), ("environment", "values"), ("secrets", "secrets"),
        ("environment", "drift"),
    ):  # fmt: skip
        if check == "drift" and not (one.declared and one.running):
            continue
        evidence = Evidence()
        getattr(suite(f"configuration.test_{module}"), f"test_{check}")(
            application=one, declared_of=of_declared, running_of=of_running, evidence=evidence
        )
        assert evidence.failures == []
        assert evidence.conclude() is Outcome.PASS


@pytest.mark.parametrize("name", FILES)
def test_an_env_file(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(FILES[name])
    first = next(line for line in FILES[name].splitlines() if "=" in line).partition("=")[0]
    judge_all(app([first], declared={"env_file": str(tmp_path / ".env")}))


@pytest.mark.parametrize("name", FILES)
def test_a_service_of_compose_and_the_container_that_it_started(tmp_path: Path, name: str) -> None:
    (tmp_path / "app.env").write_text(FILES[name])
    (tmp_path / "compose.yaml").write_text(
        "x-app: &app { restart: always, env_file: app.env }\n"
        "services:\n"
        "  shop:\n"
        "    <<: *app\n"
        "    image: acme/shop:${SHOP_TAG_OF_TEST:-1.5}\n"
        "    environment: { TZ: Europe/Berlin, OPTIONAL_TOKEN: , WORKERS: 4, CACHE: true }\n"
        "    healthcheck: { test: wget -q http://localhost:8080/ || exit 1 }\n"
        "  debug: { image: busybox, profiles: [debug], ports: ['${DEBUG_PORT_OF_TEST}:80'] }\n"
    )
    declared = {"compose": str(tmp_path / "compose.yaml"), "service": "shop"}
    place = of_declared(app(["TZ"], declared=declared))
    assert place
    env = [f"{key}={value.reveal()}" for key, value in place.values.items()]
    inspected = {
        "Id": "1", "State": {"Running": True}, "HostConfig": {"NetworkMode": "shop_default"},
        "Config": {
            "Image": "acme/shop:1.5",
            "Env": [
                *env, "PATH=/usr/bin", "LANG=C.UTF-8", "PYTHON_VERSION=3.11.9",
                "GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568", "NODE_VERSION=22.1.0",
                "PYTHON_PIP_VERSION=24.0", "YARN_VERSION=1.22.22", "HOME=/root",
            ],
        },
    }  # fmt: skip
    (tmp_path / "inspect.json").write_text(json.dumps([inspected]))
    running = {"inspect": ["cat", str(tmp_path / "inspect.json")]}
    judge_all(app(["TZ", "WORKERS"], declared=declared, running=running))


HELM = f"""
# Source: shop/templates/configmap.yaml
apiVersion: v1
kind: ConfigMap
metadata: {{ name: shop, namespace: prod }}
data:
  APP_ENV: production
  DATABASE_HOST: shop-db.prod.svc.cluster.local
  LOG_FORMAT: '{{{{.Level}}}} {{{{.Message}}}}'
  nginx.conf: |
    server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:8080; }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: shop, namespace: prod }}
type: Opaque
stringData: {{ DATABASE_PASSWORD: "{PASSWORD}", SESSION_SECRET: "{HEX}" }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: shop, namespace: prod }}
spec:
  serviceName: shop
  template:
    metadata: {{ annotations: {{ kubectl.kubernetes.io/default-container: web }} }}
    spec:
      imagePullSecrets: [ {{ name: registry }} ]
      initContainers:
        - {{ name: migrate, image: acme/shop:1.5, envFrom: [ {{ secretRef: {{ name: shop }} }} ] }}
      containers:
        - name: cloud-sql-proxy
          image: gcr.io/cloud-sql-connectors/cloud-sql-proxy:2
        - name: web
          image: acme/shop@sha256:{HEX}
          envFrom:
            - configMapRef: {{ name: shop }}
            - secretRef: {{ name: shop }}
            - secretRef: {{ name: shop-extra, optional: true }}
          env:
            - name: DATABASE_URL
              value: postgresql://shop:$(DATABASE_PASSWORD)@127.0.0.1/shop
            - {{ name: POD_IP, valueFrom: {{ fieldRef: {{ fieldPath: status.podIP }} }} }}
            - {{ name: CPUS, valueFrom: {{ resourceFieldRef: {{ resource: limits.cpu }} }} }}
            - {{ name: EMPTY }}
      volumes:
        - {{ name: tls, secret: {{ secretName: shop-tls }} }}
        - {{ name: token, projected: {{ sources: [ {{ serviceAccountToken: {{ path: t }} }} ] }} }}
        - {{ name: cache, emptyDir: {{ }} }}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {{ name: shop, namespace: prod }}
spec: {{ secretName: shop-tls, dnsNames: [ shop.acme.io ] }}
"""


def test_a_workload_with_sidecars_as_helm_renders_it(tmp_path: Path) -> None:
    """The database is at 127.0.0.1: its proxy runs in the same pod."""
    (tmp_path / "all.yaml").write_text(HELM)
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [all.yaml]\n")
    declared = {"manifests": [str(tmp_path / "*.yaml")], "workload": "statefulset/shop"}
    needs = ["DATABASE_URL", "SESSION_SECRET", "POD_IP", "APP_ENV"]
    judge_all(app(needs, declared=declared, secrets={"provided": ["registry"]}))
