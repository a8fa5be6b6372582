//! Client properties: what the user passes through to librdkafka, and what is not theirs to set.
//!
//! They come from `--kafka key=value` and from files of such lines. A key that the guarantee depends on is refused with
//! the reason, rather than overridden in silence; what is left is handed on as it is. Keys, aliases and meanings are
//! those of librdkafka's `CONFIGURATION.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::Error;
use super::refused;

/// Properties that were checked. `Debug` shows no passwords and keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientProperties(BTreeMap<String, String>);

/// One `key=value`, not checked yet. `Debug` shows no passwords and keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// A file of properties that is larger is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl ClientProperties {
    /// The properties of the files, in order, and of `given` over them. Of one key the last value holds.
    ///
    /// # Errors
    /// When a file cannot be read, a line is no `key=value`, or a key is refused.
    pub fn resolve(files: &[impl AsRef<Path>], given: &[Property]) -> Result<Self, Error> {
        let mut properties = BTreeMap::new();
        for file in files {
            for property in read(file.as_ref())? {
                property.check()?;
                properties.insert(property.key, property.value);
            }
        }
        for property in given {
            property.check()?;
            properties.insert(property.key.clone(), property.value.clone());
        }
        Ok(Self(properties))
    }

    /// Keys and values, as the client is to be given them.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl Property {
    fn check(&self) -> Result<(), Error> {
        if let Some(refusal) = refused::find(&self.key) {
            let key = self.key.clone();
            return Err(Error::PropertyRefused { key, reason: refusal.reason, instead: refusal.instead });
        }
        if cfg!(not(feature = "tls")) && self.needs_tls() {
            return Err(Error::NoTls { key: self.key.clone(), value: self.value.clone() });
        }
        Ok(())
    }

    fn needs_tls(&self) -> bool {
        let value = self.value.trim().to_ascii_lowercase();
        match self.key.as_str() {
            "security.protocol" => matches!(value.as_str(), "ssl" | "sasl_ssl"),
            // SCRAM's hashes are OpenSSL's.
            "sasl.mechanism" | "sasl.mechanisms" => value.starts_with("scram-") || value == "oauthbearer",
            _ => false,
        }
    }

    /// Whether the value must not be seen.
    fn is_secret(&self) -> bool {
        let marks = ["password", "passphrase", "secret", "pem", "token", "jaas", "oauthbearer.config", "kinit"];
        marks.iter().any(|mark| self.key.contains(mark))
    }
}

impl FromStr for Property {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::PropertyForm { given_in: "a value of --kafka".to_owned() })
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.is_secret() { "…" } else { &self.value };
        write!(f, "{}={value}", self.key)
    }
}

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let property = |(key, value): (&String, &String)| Property { key: key.clone(), value: value.clone() };
        f.debug_set().entries(self.0.iter().map(property)).finish()
    }
}

fn parse(text: &str) -> Option<Property> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    (!key.is_empty() && !key.contains(char::is_whitespace)).then_some(Property { key, value })
}

/// The properties of a file: a `key=value` a line, `#` or `!` before a comment. No escapes, no continued lines.
fn read(file: &Path) -> Result<Vec<Property>, Error> {
    let cannot = |cause| Error::Unreadable { file: file.to_path_buf(), cause };
    if std::fs::metadata(file).map_err(cannot)?.len() > FILE_BYTES_MAX {
        return Err(cannot(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(file).map_err(cannot)?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', '!']));
    let form = |number| Error::PropertyForm { given_in: format!("line {number} of {}", file.display()) };
    meant.map(|(number, line)| parse(line).ok_or_else(|| form(number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(given: &[&str]) -> Result<ClientProperties, Error> {
        let given: Vec<Property> = given.iter().map(|text| text.parse().unwrap()).collect();
        ClientProperties::resolve(&[] as &[&Path], &given)
    }

    #[test]
    fn options_are_laid_over_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# a comment\n\n client.id = a \n! another\nclient.rack=r\n").unwrap();
        let properties = ClientProperties::resolve(&[file.path()], &["client.id=b=c".parse().unwrap()]).unwrap();
        assert_eq!(format!("{properties:?}"), "{client.id=b=c, client.rack=r}");
    }

    #[test]
    fn refusal_says_what_would_break_and_what_to_do() {
        let error = resolve(&["enable.auto.commit=true"]).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @r"
        client property `enable.auto.commit` cannot be set: positions are committed in the transaction of their events, and nowhere else
        leave it out; the host sets it
        ");
        let error = resolve(&["bootstrap.servers=a:1"]).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @r"
        client property `bootstrap.servers` cannot be set: the address of the broker has an option of its own
        use --brokers HOST:PORT[,HOST:PORT…]
        ");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn build_without_tls_says_how_to_get_it() {
        for property in ["security.protocol=SASL_SSL", "security.protocol=ssl", "sasl.mechanism=SCRAM-SHA-512"] {
            let error = resolve(&[property]).unwrap_err();
            assert!(error.to_string().ends_with("this build has no TLS"), "{error}");
            assert_eq!(error.hint().unwrap(), "build it in: cargo build --release --features tls");
        }
        assert!(resolve(&["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN"]).is_ok());
    }

    #[test]
    fn secrets_are_neither_in_debug_nor_in_errors() {
        let secret = "hunter2";
        for key in [
            "sasl.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.config",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
        ] {
            let properties = resolve(&[&format!("{key}={secret}")]).unwrap();
            assert_eq!(format!("{properties:?}"), format!("{{{key}=…}}"));
            assert_eq!(properties.as_map()[key], secret);
        }
        assert!(!format!("{:?}", secret.parse::<Property>().unwrap_err()).contains(secret));
    }

    #[test]
    fn line_that_is_no_property_is_named_by_its_number() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "client.id=a\nnonsense\n").unwrap();
        let error = ClientProperties::resolve(&[file.path()], &[]).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of ") && error.ends_with(" is no `key=value`"), "{error}");
    }
}
