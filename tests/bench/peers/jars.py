"""Java's jars, fetched by Maven into the user's cache once, as ops/local/install does with the broker's."""

import glob
import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from xml.etree import ElementTree

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
FETCH_SECONDS = 900
SETTINGS = """\
<settings><mirrors><mirror><id>only-central</id><mirrorOf>*,!central</mirrorOf><url>{url}</url></mirror></mirrors></settings>
"""


def cache():
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "penstock")


def central():
    """The one repository that Maven itself knows."""
    (jar,) = glob.glob("/usr/share/maven/lib/maven-model-builder-*.jar")
    with zipfile.ZipFile(jar) as archive:
        model = ElementTree.fromstring(archive.read("org/apache/maven/model/pom-4.0.0.xml"))
    return model.findtext("{*}repositories/{*}repository/{*}url")


def folder(pom):
    """Another for every text of the file."""
    with open(pom, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:12]
    return os.path.join(cache(), f"bench-{os.path.basename(pom).removesuffix('.pom.xml')}-{digest}")


def fetch(pom):
    """None once the jars of a pom are in folder(pom), or the line that says why they are not."""
    there = folder(pom)
    if os.path.isdir(there):
        return None
    if not shutil.which("mvn"):
        return "there is no mvn on PATH to fetch its jars with"
    os.makedirs(cache(), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as fresh:
        jars, settings = os.path.join(fresh, "jars"), os.path.join(fresh, "settings.xml")
        with open(settings, "w") as file:
            file.write(SETTINGS.format(url=central()))
        argv = ["mvn", "-B", "-q", "-ntp", "-Dstyle.color=never", "-gs", settings, "-f", pom, PLUGIN]
        argv += ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=FETCH_SECONDS)
        except subprocess.TimeoutExpired:
            return f"its jars did not come within {FETCH_SECONDS} s"
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()
            return "Maven did not bring its jars: " + (said[0] if said else f"exit code {done.returncode}")
        shutil.move(jars, there)
    return None


def build(source, path, jar):
    """One source file, compiled with what is on the class path."""
    with tempfile.TemporaryDirectory() as classes:
        subprocess.run(["javac", "-d", classes, "-cp", path, source], check=True)
        found = [os.path.join(top, name) for top, _, names in os.walk(classes) for name in names]
        with zipfile.ZipFile(jar, "w") as archive:
            for each in found:
                archive.write(each, os.path.relpath(each, classes))


def java(*arguments):
    return [shutil.which("java"), "-XX:-UsePerfData", "-Djava.awt.headless=true", "-Duser.timezone=UTC", *arguments]


def missing(*programs):
    return next((f"there is no {each} on PATH" for each in programs if not shutil.which(each)), None)
