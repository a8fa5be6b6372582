//! Where a host serves its operators, and what they have to show.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::Failure;
use crate::config::{TOKEN_VARIABLE, Token};

/// Where a host serves its operators.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminListen {
    /// Where health, metrics, functions, deployments and events are served. Anywhere else than on this machine it asks for a
    /// token
    #[arg(long, env = "FNHOST_ADMIN", value_name = "ADDR", default_value = "127.0.0.1:9090", help_heading = "HTTP")]
    pub admin: SocketAddr,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would take the place of the verb's help")]
    pub token: AdminToken,
}

/// What operators have to show.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminToken {
    /// What operators have to show: a file with at least 16 bytes, or in FNHOST_ADMIN_TOKEN. Health and metrics need none
    #[arg(long, env = "FNHOST_ADMIN_TOKEN_FILE", value_name = "FILE", help_heading = "HTTP")]
    pub admin_token_file: Option<PathBuf>,
}

impl AdminListen {
    /// The token, if operators need one.
    ///
    /// # Errors
    /// A token that cannot be had; or none, where others than this machine's users can ask.
    pub(super) fn resolve(&self) -> Result<Option<Token>, Failure> {
        let token = Token::resolve(self.token.admin_token_file.as_deref())?;
        if token.is_none() && !self.admin.ip().is_loopback() {
            let error = anyhow::anyhow!("operators would be served on {} without a token", self.admin);
            return Err(Failure::fault(error).hint(format!(
                "openssl rand -hex 32 > admin.token, then --admin-token-file admin.token (or {TOKEN_VARIABLE}); \
                 or serve this machine only: --admin 127.0.0.1:{}",
                self.admin.port()
            )));
        }
        Ok(token)
    }
}
