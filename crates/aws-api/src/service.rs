//! The two AWS services that the API endpoint speaks for.
//!
//! **Invariants.** A service has one version, one XML namespace and one SigV4 name.
//!
//! **Must not know:** actions.

/// A service, told by a request's `Version` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Identity and Access Management.
    Iam,
    /// Security Token Service.
    Sts,
}

impl Service {
    /// The service of this API version.
    pub fn from_version(version: &str) -> Option<Self> {
        [Self::Iam, Self::Sts].into_iter().find(|service| service.version() == version)
    }

    /// The API version, as the service model has it.
    pub fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }

    /// The namespace of its XML replies.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    /// The name in credential scopes and policy actions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }
}
