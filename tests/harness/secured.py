"""A broker as other people have it: TLS with hostnames, SASL by PLAIN, SCRAM-SHA-512 and OAUTHBEARER, client
certificates, an authorizer that allows nothing by itself.

Its plain listener stays for the harness, whose clients are nobody there, and nobody is a super user. The programs under
test are given one of the others (`speak`). Users: `admin`, who may do everything, and one for each worker
(`penstock-fetcher`, …), who may do what rules allow.
"""

import json
import os
import tempfile

from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from harness.authority import SECRET, Authority
from harness.servers import Place, remove, session_folders
from harness.waiting import wait_until
from local_stack.kafka import Kafka
from local_stack.process import PidFile, choose_port, write_atomic

ADMIN = "admin"
WORKERS = ("fetcher", "validator", "transformer", "loader", "orchestrator", "cli")
AUDIENCE = "kafka.tests"
ISSUER = "https://issuer.tests"
SESSION_MS = 6000  # of a connection by token: it is closed then, as librdkafka cannot authenticate anew on it
KAFKA_SECONDS = 20
PASSWORD = "hush-password-{}"

LISTENERS = """\
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://localhost:{sasl},SSL://localhost:{tls}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS;User:{admin}
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/
listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {users};
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://{jwks}
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.expected.audience={audience}
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.expected.issuer={issuer}
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.clock.skew.seconds=0
listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms={session}
"""


def password_of(user):
    return PASSWORD.format(user)


def user_of(worker):
    return f"penstock-{worker}"


USERS = (ADMIN, *map(user_of, WORKERS))


class SecuredKafka(Kafka):
    """In java's properties the last word on a key counts."""

    def __init__(self, place, authority, jwks):
        super().__init__(place)
        self.authority = authority
        self.jwks = jwks
        allowed = "org.apache.kafka.sasl.oauthbearer.allowed"
        scram = (f"SCRAM-SHA-512=[name={user},password={password_of(user)}]" for user in USERS)
        self.format_options = tuple(word for each in scram for word in ("--add-scram", each))
        self.jvm_options = (f"-D{allowed}.urls=file://{jwks}", f"-D{allowed}.files={jwks}")

    def configuration(self):
        ports = self.place.ports
        users = " ".join(f'user_{user}="{password_of(user)}"' for user in USERS)
        return super().configuration() + LISTENERS.format(
            plain=ports["kafka"],
            controller=ports["controller"],
            sasl=ports["sasl"],
            tls=ports["tls"],
            admin=ADMIN,
            keystore=self.authority.keystore("broker"),
            authority=self.authority.certificate,
            users=users,
            jwks=self.jwks,
            audience=AUDIENCE,
            issuer=ISSUER,
            session=SESSION_MS,
        )


class Secured:
    """That broker, beside the session's PostgreSQL: what a Pipeline takes as its servers."""

    def __init__(self, servers, authority, jwks):
        """jwks: {"keys": …} that tokens are signed with. The folder is one that a later session's sweep would find."""
        self.servers = servers
        self.authority = authority
        authority.issue("broker", "localhost")
        os.makedirs(session_folders(), mode=0o700, exist_ok=True)
        self.folder = tempfile.mkdtemp(dir=session_folders())
        PidFile(os.path.join(self.folder, "session.pid")).write(os.getpid())
        self.place = Place(self.folder, lambda *_: None)
        self.place.make()
        for name in ("kafka", "controller", "sasl", "tls"):
            self.place.ports[name] = choose_port(None, set(self.place.ports.values()))
        state = {"id": self.place.id, "dir": self.place.dir, "ports": self.place.ports}
        write_atomic(self.place.state_file, json.dumps(state) + "\n")
        write_atomic(self.place.path("jwks.json"), json.dumps(jwks))
        self.broker = SecuredKafka(self.place, authority, self.place.path("jwks.json"))

    def __getattr__(self, name):
        return getattr(self.servers, name)

    @property
    def kafka(self):
        return self.broker.address

    def start(self):
        self.broker.start(throwaway=True)
        self.broker.wait()
        self.admin = AdminClient({"bootstrap.servers": self.kafka})
        return self

    def stop(self):
        del self.admin  # it would tell that its broker is gone
        remove(self.folder)

    # --- what programs are told --------------------------------------------------------------------------------------
    def tls(self, **more):
        """Certificates of the broker are checked, and that they are for the name that was asked."""
        return {"ssl.ca.location": self.authority.certificate, "broker.address.family": "v4"} | dotted(more)

    def sasl(self, mechanism, **more):
        return self.tls(
            bootstrap_servers=f"localhost:{self.place.ports['sasl']}",
            security_protocol="sasl_ssl",
            sasl_mechanism=mechanism,
            **more,
        )

    def login(self, pipeline, mechanism="PLAIN", user=ADMIN, password=None):
        """By a password, which stands in a file."""
        path = pipeline.secret(f"password-{user}", password or password_of(user))
        return self.sasl(mechanism, sasl_username=user) | {"sasl.password_file": path}

    def mutual(self, pipeline, user=ADMIN):
        """By a certificate, whose key is encrypted."""
        _, certificate = self.authority.issue(user)
        secret = pipeline.secret("key-password", SECRET)
        return self.tls(
            bootstrap_servers=f"localhost:{self.place.ports['tls']}",
            security_protocol="ssl",
            ssl_certificate_location=certificate,
            ssl_key_location=self.authority.encrypt(user),
        ) | {"ssl.key.password_file": secret}

    def speak(self, pipeline, settings):
        """The programs of a pipeline reach the broker so, and in no other way."""
        pipeline.configure("kafka", **settings)
        return pipeline

    def each_for_itself(self, pipeline):
        """Every program as its own user; `admin` is nobody of them."""
        self.speak(pipeline, self.login(pipeline, user=user_of("cli")))
        for worker in WORKERS:
            self.put_on(pipeline, worker, user_of(worker))
        return pipeline

    def put_on(self, pipeline, section, user):
        secret = pipeline.secret(f"password-{user}", password_of(user))
        pipeline.configure(section, kafka={"sasl.username": user, "sasl.password_file": secret})

    def client(self, user):
        """What the harness's own clients are told, to be that user."""
        return self.sasl("PLAIN", sasl_username=user, sasl_password=password_of(user))

    # --- rules -------------------------------------------------------------------------------------------------------
    def rules(self):
        """All that is allowed, as the broker has it."""
        anything = ResourceType.ANY, None, ResourcePatternType.ANY
        everything = AclBindingFilter(*anything, None, None, AclOperation.ANY, AclPermissionType.ANY)
        return self.admin.describe_acls(everything).result(KAFKA_SECONDS)

    def allow(self, rules):
        for future in self.admin.create_acls(rules).values() if rules else []:
            future.result(KAFKA_SECONDS)
        wait_until(lambda: set(rules) <= set(self.rules()), KAFKA_SECONDS, "the broker goes by these rules")

    def forbid(self, rules):
        """Takes these back, and waits until the broker goes by it."""
        filters = [
            AclBindingFilter(
                r.restype, r.name, r.resource_pattern_type, r.principal, r.host, r.operation, r.permission_type
            )
            for r in rules
        ]
        for future in self.admin.delete_acls(filters).values() if filters else []:
            future.result(KAFKA_SECONDS)
        wait_until(lambda: not set(rules) & set(self.rules()), KAFKA_SECONDS, "rules are gone")


def dotted(values):
    return {key.replace("_", "."): value for key, value in values.items()}
