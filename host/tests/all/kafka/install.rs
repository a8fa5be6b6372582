//! Apache Kafka's jars, from Maven Central into the target folder, once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{say, variable, without_kafka};

/// What is started when `FNHOST_TEST_KAFKA_VERSION` names nothing else.
pub(crate) const VERSION: &str = "4.2.1";

/// Where the jars of one Kafka version lie: broker and tools.
#[derive(Clone, Debug)]
pub(crate) struct Jars {
    /// The version, such as `4.2.1`.
    pub(crate) version: String,
    folder: PathBuf,
}

impl Jars {
    /// The jars of the version that is asked for, fetched when they are not there. `None`, said loudly, when they
    /// cannot be had.
    ///
    /// # Panics
    /// With `CI=true` when they cannot be had.
    pub(crate) fn get() -> Option<Self> {
        let version = variable("FNHOST_TEST_KAFKA_VERSION").unwrap_or_else(|| VERSION.to_owned());
        match Self::fetch(&version) {
            Ok(jars) => Some(jars),
            Err(reason) => {
                without_kafka(&reason);
                None
            }
        }
    }

    fn fetch(version: &str) -> Result<Self, String> {
        if !on_path("java") {
            return Err("`java` is not on the PATH".to_owned());
        }
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(cache).unwrap();
        let folder = cache.join(format!("kafka-{version}"));
        // Another test process may be fetching the same right now: it goes first, and then they are there.
        let guard = File::create(cache.join(format!("kafka-{version}.lock"))).unwrap();
        guard.lock().unwrap();
        if !folder.exists() {
            download(version, cache, &folder)?;
        }
        Ok(Self { version: version.to_owned(), folder })
    }

    /// Whether it is that version or a later one.
    pub(crate) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
    }

    /// A `java` with these jars on its class path.
    pub(crate) fn java(&self) -> Command {
        let mut java = Command::new("java");
        java.args(self.java_arguments());
        java
    }

    /// What `java` needs to find these jars.
    pub(crate) fn java_arguments(&self) -> [String; 2] {
        ["-cp".to_owned(), format!("{}/*", self.folder.display())]
    }
}

/// Fetches into a folder beside the final one and renames, so that half a download is never taken for a whole one.
fn download(version: &str, cache: &Path, folder: &Path) -> Result<(), String> {
    if !on_path("mvn") {
        return Err("`mvn` is not on the PATH".to_owned());
    }
    say(&format!("fetching Apache Kafka {version} from Maven Central, 54 MB, once"));
    let partial = tempfile::Builder::new().prefix("kafka-partial-").tempdir_in(cache).unwrap();
    fs::write(partial.path().join("pom.xml"), pom(version)).unwrap();
    let maven = Command::new("mvn")
        .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"])
        .current_dir(partial.path())
        .output()
        .map_err(|error| format!("mvn does not start: {error}"))?;
    if !maven.status.success() {
        let said = String::from_utf8_lossy(&maven.stdout);
        let reason = said.lines().find(|line| line.contains("ERROR")).unwrap_or("and says nothing");
        return Err(format!("mvn could not fetch Apache Kafka {version}: {reason}"));
    }
    fs::rename(partial.path().join("jars"), folder).unwrap();
    Ok(())
}

fn pom(version: &str) -> String {
    let dependency = |artifact: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version></dependency>"
        )
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>fnhost</groupId><artifactId>kafka-of-the-tests</artifactId><version>1</version>\
         <dependencies>{}{}</dependencies></project>",
        dependency("kafka_2.13"),
        dependency("kafka-tools")
    )
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
