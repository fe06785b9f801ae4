//! What signs the calls: found where AWS's own tools find it, or in the context.
//!
//! **Invariants.** The environment wins, then the profile that `AWS_PROFILE` names, then the
//! context, then the profile `default`: credentials of another cloud are never used where the
//! context has some.
//!
//! **Must not know:** how a call is signed.

use std::path::{Path, PathBuf};

use model::Secret;

use crate::{Environment, context::Context, exit::Error};

/// A key, and a session's token if it is a temporary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The access key's id.
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret_access_key: Secret<String>,
    /// The session's token.
    pub(crate) session_token: Option<Secret<String>>,
}

impl Credentials {
    /// Finds credentials.
    ///
    /// # Errors
    /// When there are none, or a profile that is named does not exist.
    pub(crate) fn find(environment: &Environment, context: &Context) -> Result<Self, Error> {
        if let Some(found) = Self::from_environment(environment) {
            return Ok(found);
        }
        if let Some(profile) = environment.get("AWS_PROFILE") {
            let missing = || Error::Usage(format!("there is no profile `{profile}` with keys"));
            return Self::from_profile(environment, profile).ok_or_else(missing);
        }
        if let Some(own) = &context.credentials {
            return Ok(Self {
                access_key_id: own.access_key_id.clone(),
                secret_access_key: own.secret_access_key.clone(),
                session_token: None,
            });
        }
        let none = || Error::Usage("no credentials: set AWS_ACCESS_KEY_ID or AWS_PROFILE".into());
        Self::from_profile(environment, "default").ok_or_else(none)
    }

    fn from_environment(environment: &Environment) -> Option<Self> {
        let secret = |name| environment.get(name).map(|text| Secret::new(text.to_owned()));
        Some(Self {
            access_key_id: environment.get("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret_access_key: secret("AWS_SECRET_ACCESS_KEY")?,
            session_token: secret("AWS_SESSION_TOKEN"),
        })
    }

    fn from_profile(environment: &Environment, profile: &str) -> Option<Self> {
        let home = || Some(Path::new(environment.get("HOME")?).join(".aws/credentials"));
        let named = environment.get("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let text = std::fs::read_to_string(named.or_else(home)?).ok()?;
        Self::parse_profile(&text, profile)
    }

    /// One section of AWS's credentials file.
    fn parse_profile(text: &str, profile: &str) -> Option<Self> {
        let mut values = [None, None, None];
        let names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                inside = name.trim() == profile;
            } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
                for (slot, wanted) in values.iter_mut().zip(names) {
                    if name.trim() == wanted {
                        *slot = Some(value.trim().to_owned());
                    }
                }
            }
        }
        let [id, secret, token] = values;
        Some(Self {
            access_key_id: id?,
            secret_access_key: Secret::new(secret?),
            session_token: token.map(Secret::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ContextCredentials;

    const FILE: &str = "[default]\naws_access_key_id = D\naws_secret_access_key = s\n\n[ p ]\n\
        # aws_access_key_id = no\naws_access_key_id=P\naws_secret_access_key = a=b\naws_session_token=t\n";

    fn context() -> Context {
        let credentials = ContextCredentials {
            access_key_id: "C".to_owned(),
            secret_access_key: Secret::new("s".to_owned()),
        };
        Context { ca_pem: String::new(), nodes: Vec::new(), credentials: Some(credentials) }
    }

    #[test]
    fn the_order_is_environment_profile_context_default() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("credentials");
        std::fs::write(&file, FILE).unwrap();
        let file = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
        let keys = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let find = |variables: &[(&str, &str)], context: &Context| {
            let environment = Environment::of(variables.iter().copied());
            Credentials::find(&environment, context).map(|found| found.access_key_id)
        };
        let profile = ("AWS_PROFILE", "p");
        assert_eq!(find(&[file, profile, keys[0], keys[1]], &context()).unwrap(), "E");
        assert_eq!(find(&[file, profile], &context()).unwrap(), "P");
        assert_eq!(find(&[file], &context()).unwrap(), "C");
        let bare = Context { credentials: None, ..context() };
        assert_eq!(find(&[file], &bare).unwrap(), "D");
        assert!(find(&[], &bare).is_err());
        assert!(find(&[file, ("AWS_PROFILE", "q")], &context()).is_err());
    }

    #[test]
    fn a_secret_may_contain_an_equal_sign() {
        let found = Credentials::parse_profile(FILE, "p").unwrap();
        assert_eq!(found.secret_access_key, Secret::new("a=b".to_owned()));
        assert_eq!(found.session_token, Some(Secret::new("t".to_owned())));
    }
}
