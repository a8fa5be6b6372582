//! Where spans go and which are recorded: options first, then the variables that OpenTelemetry has for all programs.
//!
//! Off unless an endpoint is given. What the exporter itself reads (headers, resource attributes, time between batches) is left to
//! it. Refused, with what mends it: what is no URL of plain HTTP, another protocol than OTLP over HTTP with protobuf, and samplers
//! that do not heed what the caller decided, for then a trace would have holes.

use std::str::FromStr;

use axum::http::Uri;

use super::{Error, environment};

/// What is added to an endpoint that is for all signals.
const TRACES_PATH: &str = "/v1/traces";
/// An endpoint that people are pointed to: where a collector listens unless told otherwise.
const EXAMPLE: &str = "http://localhost:4318";

const OPTION: &str = "--otlp-endpoint";
const SAMPLE: &str = "--trace-sample";
const NAME_IT: &str = "name a collector with --otlp-endpoint";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SERVICE: &str = "OTEL_SERVICE_NAME";
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// Where spans go, and which are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// Where batches are posted to: the whole URL.
    pub endpoint: String,
    /// How many of the traces that begin here are recorded.
    pub ratio: Ratio,
    /// What the host is called, when it is not by the app's name.
    pub service: Option<String>,
}

/// A part of a whole: from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    const NONE: Self = Self(0.0);
    const ALL: Self = Self(1.0);

    /// From 0 to 1.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or_else(|| "it is to be from 0 to 1, such as 0.01".to_owned())
    }
}

impl Otlp {
    /// What was given by options, or else by OpenTelemetry's variables; none when no endpoint was.
    ///
    /// # Errors
    /// What was given cannot be used.
    pub fn resolve(endpoint: Option<&str>, ratio: Option<Ratio>) -> Result<Option<Self>, Error> {
        Self::given(endpoint, ratio, &environment)
    }

    fn given(
        endpoint: Option<&str>,
        ratio: Option<Ratio>,
        environment: &dyn Fn(&'static str) -> Result<Option<String>, Error>,
    ) -> Result<Option<Self>, Error> {
        // What is empty counts as left out, as OpenTelemetry has it.
        let of = |variable| Ok::<_, Error>(environment(variable)?.filter(|value| !value.trim().is_empty()));
        if of(DISABLED)?.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let endpoint = match endpoint.filter(|endpoint| !endpoint.trim().is_empty()) {
            Some(base) => Some(under(OPTION, base)?),
            None => match (of(TRACES_ENDPOINT)?, of(ENDPOINT)?) {
                (Some(whole), _) => Some(url(TRACES_ENDPOINT, &whole)?.to_string()),
                (None, Some(base)) => Some(under(ENDPOINT, &base)?),
                (None, None) => None,
            },
        };
        let Some(endpoint) = endpoint else {
            return match ratio {
                Some(_) => {
                    Err(refused(SAMPLE, "it says how many traces are recorded, and nothing takes them", NAME_IT))
                }
                None => Ok(None),
            };
        };
        for variable in [TRACES_PROTOCOL, PROTOCOL] {
            if let Some(protocol) = of(variable)? {
                speaks(variable, &protocol)?;
                break;
            }
        }
        let ratio = match ratio {
            Some(ratio) => ratio,
            None => sampled(of(SAMPLER)?.as_deref(), of(SAMPLER_ARG)?.as_deref())?,
        };
        Ok(Some(Self { endpoint, ratio, service: of(SERVICE)? }))
    }
}

/// The URL for traces under that for all signals.
fn under(given_in: &'static str, base: &str) -> Result<String, Error> {
    let base = url(given_in, base)?;
    if base.query().is_some() {
        return Err(refused(given_in, "it has a query, and a path is added to it", TRACES_ENDPOINT_WHOLE));
    }
    let base = base.to_string();
    let base = base.trim_end_matches('/');
    // Some name the whole URL here, and nobody means it twice.
    Ok(format!("{}{TRACES_PATH}", base.strip_suffix(TRACES_PATH).unwrap_or(base)))
}

const TRACES_ENDPOINT_WHOLE: &str = "leave the query out, or give the whole URL in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// A URL that spans can be posted to. It is not repeated in what is said of it, for it may hold a password.
fn url(given_in: &'static str, text: &str) -> Result<Uri, Error> {
    let example = || format!("name a collector's address, such as {EXAMPLE}");
    let uri: Uri =
        text.trim().parse().map_err(|error| refused(given_in, format!("it is no URL: {error}"), example()))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            let near = format!("let a collector beside the host send them on: {EXAMPLE}");
            return Err(refused(given_in, "spans are sent over plain HTTP alone, and it is https", near));
        }
        _ => return Err(refused(given_in, "it does not begin with http://", example())),
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        let header = "leave them out and give a header: OTEL_EXPORTER_OTLP_HEADERS=authorization=…";
        return Err(refused(given_in, "it holds a user's name or password", header));
    }
    // Colons within brackets are of an IPv6 address.
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    if after_host.contains(':') && uri.port_u16().is_none() {
        return Err(refused(given_in, "its port is none", example()));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(refused(given_in, "it names no host", example()));
    }
    Ok(uri)
}

fn speaks(variable: &'static str, protocol: &str) -> Result<(), Error> {
    match protocol.trim() {
        "http/protobuf" => Ok(()),
        _ => Err(refused(
            variable,
            "spans are sent as http/protobuf alone",
            format!("unset it, and name the collector's port for HTTP, which is 4318 unless told otherwise: {EXAMPLE}"),
        )),
    }
}

/// Of the traces that begin here, how many are recorded.
fn sampled(sampler: Option<&str>, argument: Option<&str>) -> Result<Ratio, Error> {
    match sampler.map(str::trim) {
        None | Some("parentbased_always_on") => Ok(Ratio::ALL),
        Some("parentbased_always_off") => Ok(Ratio::NONE),
        Some("parentbased_traceidratio") => match argument {
            None => Ok(Ratio::ALL),
            Some(argument) => {
                argument.trim().parse().map_err(|reason| refused(SAMPLER_ARG, reason, "for example 0.01".to_owned()))
            }
        },
        Some(_) => Err(refused(
            SAMPLER,
            "whoever began a trace decides whether it is recorded",
            "unset it, or let it be parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
        )),
    }
}

fn refused(given_in: &'static str, reason: impl Into<String>, instead: impl Into<String>) -> Error {
    Error::Otlp { given_in, reason: reason.into(), instead: instead.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(
        endpoint: Option<&str>,
        ratio: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Option<(String, f64)>, String> {
        let environment = |name: &'static str| {
            Ok(variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()))
        };
        let ratio = ratio.map(|ratio| ratio.parse().unwrap());
        let otlp = Otlp::given(endpoint, ratio, &environment);
        otlp.map(|otlp| otlp.map(|otlp| (otlp.endpoint, otlp.ratio.value())))
            .map_err(|error| format!("{error}; {}", error.hint().unwrap()))
    }

    fn to(endpoint: &str, ratio: f64) -> Result<Option<(String, f64)>, String> {
        Ok(Some((endpoint.to_owned(), ratio)))
    }

    #[test]
    fn option_holds_over_the_variable_for_traces_and_that_over_the_one_for_all_signals() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/as/it/is");
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:2/");
        assert_eq!(given(Some("http://option:3/a"), None, &[traces, all]), to("http://option:3/a/v1/traces", 1.0));
        assert_eq!(given(None, None, &[traces, all]), to("http://traces:1/as/it/is", 1.0));
        assert_eq!(given(Some(" "), None, &[all]), to("http://all:2/v1/traces", 1.0));
        assert_eq!(given(Some("http://whole:4/v1/traces/"), None, &[]), to("http://whole:4/v1/traces", 1.0));
        assert!(given(Some("http://localhost:99999"), None, &[]).is_err());
        assert_eq!(
            given(None, Some("0.5"), &[]).unwrap_err(),
            "--trace-sample cannot be used: it says how many traces are recorded, and nothing takes them; name a collector with --otlp-endpoint"
        );
        let disabled = ("OTEL_SDK_DISABLED", "True");
        assert_eq!(given(Some("http://option:3"), None, &[traces, all, disabled]), Ok(None));
        for none in [&[][..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], &[("OTEL_TRACES_SAMPLER", "always_on")]] {
            assert_eq!(given(None, None, none), Ok(None));
        }
    }

    #[test]
    fn ratio_is_the_options_or_that_of_a_sampler_that_heeds_the_parent() {
        let of = |ratio, variables: &[_]| given(Some("http://a"), ratio, variables).map(|given| given.unwrap().1);
        let sampler = |name| ("OTEL_TRACES_SAMPLER", name);
        let argument = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        assert_eq!(of(Some("0.5"), &[sampler("parentbased_traceidratio"), argument]), Ok(0.5));
        assert_eq!(of(None, &[sampler("parentbased_traceidratio"), argument]), Ok(0.25));
        assert_eq!(of(None, &[sampler("parentbased_always_off"), argument]), Ok(0.0));
        assert_eq!(of(None, &[argument]), Ok(1.0));
        assert!(of(None, &[sampler("always_on")]).unwrap_err().contains("parentbased_always_on"));
        let wrong = of(None, &[sampler("parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")]);
        assert!(wrong.unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG cannot be used: it is to be from 0 to 1"));
        for wrong in ["", "-0.1", "1.1", "NaN", "half"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused_with_what_mends_it_and_without_its_password() {
        let mut said = Vec::new();
        for wrong in [
            "localhost:4318",
            "collector",
            "http://",
            "http://:80",
            "https://in.cloud",
            "http://me:hunter2@a",
            "http://a/?b",
        ] {
            said.push(given(Some(wrong), None, &[]).unwrap_err());
        }
        said.push(given(Some("http://a"), None, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err());
        assert!(!said.concat().contains("hunter2"));
        insta::assert_snapshot!(said.join("\n"), @r"
        --otlp-endpoint cannot be used: it does not begin with http://; name a collector's address, such as http://localhost:4318
        --otlp-endpoint cannot be used: it does not begin with http://; name a collector's address, such as http://localhost:4318
        --otlp-endpoint cannot be used: it is no URL: empty string; name a collector's address, such as http://localhost:4318
        --otlp-endpoint cannot be used: it names no host; name a collector's address, such as http://localhost:4318
        --otlp-endpoint cannot be used: spans are sent over plain HTTP alone, and it is https; let a collector beside the host send them on: http://localhost:4318
        --otlp-endpoint cannot be used: it holds a user's name or password; leave them out and give a header: OTEL_EXPORTER_OTLP_HEADERS=authorization=…
        --otlp-endpoint cannot be used: it has a query, and a path is added to it; leave the query out, or give the whole URL in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
        OTEL_EXPORTER_OTLP_PROTOCOL cannot be used: spans are sent as http/protobuf alone; unset it, and name the collector's port for HTTP, which is 4318 unless told otherwise: http://localhost:4318
        ");
        let fits = [("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(given(Some("http://a"), None, &fits).is_ok());
    }
}
