"""Secrets for trying out: what is absent is made, what is there is never touched."""

import base64
import datetime as dt
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from devbox.cluster_secrets import ensure_cluster_secrets
from devbox.cluster_secrets.authority import Authority
from devbox.cluster_secrets.kubectl import Kubectl
from devbox.cluster_secrets.wanted import all_names
from devbox.errors import CannotBegin
from devbox.roles import ROLES

NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
TOKEN = "1000000001:token-of-the-tests"

# A kubectl that keeps each Secret as a file of the folder KEPT and writes down its arguments.
FAKE = """#!/bin/sh
echo "$@" >> "$KEPT/../arguments"
case "$*" in
  *"config view"*) echo trial ;;
  *"get secrets"*) for file in "$KEPT"/*; do [ -e "$file" ] && echo "secret/${file##*/}"; done ;;
  *"get secret "*) cat "$KEPT/$(echo "$*" | sed 's/.*get secret \\([^ ]*\\).*/\\1/')" ;;
  *create*) cat > "$KEPT/new" && python3 - <<END
import base64, json, os
folder = os.environ["KEPT"]
secret = json.load(open(folder + "/new"))
os.unlink(folder + "/new")
secret["data"] = {k: base64.b64encode(v.encode()).decode() for k, v in secret["stringData"].items()}
json.dump(secret, open(folder + "/" + secret["metadata"]["name"], "x"))
END
  ;;
esac
"""


class FakeCluster:
    """A namespace as a dict."""

    def __init__(self, there: Mapping[str, dict[str, str]] | None = None) -> None:
        self.secrets = dict(there or {})
        self.kinds: dict[str, str] = {}

    def chosen_namespace(self) -> str:
        """A fixed one."""
        return "trial"

    def secret_names(self) -> set[str]:
        """All."""
        return set(self.secrets)

    def read(self, name: str) -> dict[str, str]:
        """One."""
        return self.secrets[name]

    def create(self, name: str, kind: str, values: Mapping[str, str]) -> None:
        """Never over another."""
        assert name not in self.secrets
        self.secrets[name] = dict(values)
        self.kinds[name] = kind


def ensure(cluster: FakeCluster) -> list[str]:
    """Ask once; the names of what was made."""
    return ensure_cluster_secrets(cluster, TOKEN, NOW, lambda line: None)


def test_asked_twice_makes_nothing_the_second_time() -> None:
    """It may stand in a script."""
    cluster = FakeCluster()
    assert ensure(cluster) == all_names()
    before = dict(cluster.secrets)
    assert ensure(cluster) == []
    assert cluster.secrets == before


def test_the_addresses_hold_the_passwords_the_servers_are_given() -> None:
    """Each part comes as its own role, and only migrations as the owner."""
    cluster = FakeCluster()
    ensure(cluster)
    trial = cluster.secrets["purser-trial"]
    assert set(trial) == {"database-password", "redis-password", *ROLES}
    assert cluster.secrets["purser-pricing"]["venue-database-url"] == (
        f"postgresql://purser_venue:{trial['purser_venue']}@purser-postgres:5432/purser"
        "?sslmode=disable"
    )
    owners = [
        name
        for name, values in cluster.secrets.items()
        if trial["database-password"] in "".join(values.values()) and name != "purser-trial"
    ]
    assert owners == ["purser-migrations"]
    assert trial["redis-password"] in cluster.secrets["purser-gateway"]["redis-url"]
    assert "redis-url" not in cluster.secrets["purser-wallet"]
    assert len(base64.b64decode(cluster.secrets["purser-wallet"]["key-encryption-key"])) == 32
    assert cluster.secrets["purser-gateway"]["bot-token"] == TOKEN


def test_a_secret_that_is_there_stays_and_others_are_derived_from_it() -> None:
    """Somebody's passwords are used as they are; a deleted Secret comes back fitting."""
    cluster = FakeCluster()
    ensure(cluster)
    cluster.secrets["purser-gateway"] = {"bot-token": "somebody's"}
    ledger = cluster.secrets.pop("purser-ledger")
    authority = cluster.secrets["purser-trial-ca"]
    del cluster.secrets["purser-ledger-tls"]
    assert ensure(cluster) == ["purser-ledger", "purser-ledger-tls"]
    assert cluster.secrets["purser-gateway"] == {"bot-token": "somebody's"}
    assert cluster.secrets["purser-ledger"] == ledger
    assert cluster.secrets["purser-ledger-tls"]["ca.crt"] == authority["tls.crt"]


@pytest.mark.parametrize("part", ["gateway", "user-worker", "wallet"])
def test_a_certificate_names_one_part_and_is_signed_by_the_authority(part: str) -> None:
    """The one URI name is who the part is to the others; the DNS names are how it is found."""
    cluster = FakeCluster()
    ensure(cluster)
    made = cluster.secrets[f"purser-{part}-tls"]
    assert cluster.kinds[f"purser-{part}-tls"] == "kubernetes.io/tls"
    certificate = x509.load_pem_x509_certificate(made["tls.crt"].encode())
    authority = x509.load_pem_x509_certificate(made["ca.crt"].encode())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://purser.dev/{part}"
    ]
    found_as = names.get_values_for_type(x509.DNSName)
    service = f"purser-{part}"
    assert {service, f"{service}.trial.svc", f"*.{service}.trial.svc.cluster.local"} <= set(
        found_as
    )
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc - NOW == dt.timedelta(days=365)


def test_an_authority_whose_key_is_anothers_is_refused() -> None:
    """Certificates nobody can verify are worse than none."""
    kept = Authority.make(NOW).to_keep()
    other = Authority.make(NOW).to_keep()
    mixed = {"tls.crt": kept.certificate, "tls.key": other.key}
    cluster = FakeCluster({"purser-trial-ca": mixed})
    with pytest.raises(CannotBegin, match="not that of its certificate"):
        ensure(cluster)


def test_a_trial_secret_without_a_password_is_told_in_a_sentence() -> None:
    """Made by hand, one is easily forgotten."""
    cluster = FakeCluster({"purser-trial": {"database-password": "only"}})
    with pytest.raises(CannotBegin, match="lacks the key purser_gateway"):
        ensure(cluster)


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """kubectl's place taken by a script."""
    program = tmp_path / "kubectl"
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setenv("KEPT", str(kept))
    return Kubectl(kubeconfig="/some/where", program=str(program))


def test_no_secret_is_ever_an_argument(kubectl: Kubectl, tmp_path: Path) -> None:
    """Arguments can be read by everyone on the machine: values go by standard input."""
    kubectl.create("purser-trial", "Opaque", {"word": "s3cret"})
    assert kubectl.secret_names() == {"purser-trial"}
    assert kubectl.read("purser-trial") == {"word": "s3cret"}
    assert kubectl.chosen_namespace() == "trial"
    arguments = (tmp_path / "arguments").read_text()
    assert "s3cret" not in arguments
    assert arguments.count("--kubeconfig /some/where") == 4
    kept = json.loads((tmp_path / "kept" / "purser-trial").read_text())
    assert kept["metadata"]["labels"]["app.kubernetes.io/part-of"] == "purser"


def test_a_kubectl_that_fails_or_is_missing_is_one_sentence(tmp_path: Path) -> None:
    """What it said last says why."""
    failing = tmp_path / "kubectl"
    failing.write_text("#!/bin/sh\necho warning >&2\necho 'no such namespace' >&2\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(CannotBegin, match="kubectl get failed: no such namespace"):
        Kubectl(program=str(failing)).secret_names()
    with pytest.raises(CannotBegin, match="needs kubectl"):
        Kubectl(program=str(tmp_path / os.devnull.strip("/"))).secret_names()


def test_the_kept_key_is_an_elliptic_one() -> None:
    """Small and quick: a handshake costs a part a millisecond."""
    certificate = x509.load_pem_x509_certificate(Authority.make(NOW).certificate.encode())
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
