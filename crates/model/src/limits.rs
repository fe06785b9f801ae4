//! AWS's quotas and limits. Source: "IAM and AWS STS quotas" in the IAM user guide.

/// Access keys of one user.
pub const ACCESS_KEYS_PER_USER_MAX: usize = 2;
/// SSH public keys of one user.
pub const SSH_PUBLIC_KEYS_PER_USER_MAX: usize = 5;
/// Signing certificates of one user.
pub const SIGNING_CERTIFICATES_PER_USER_MAX: usize = 2;
/// Service-specific credentials of one user for one service.
pub const SERVICE_CREDENTIALS_PER_USER_MAX: usize = 2;
/// MFA devices that are enabled for one user or root user.
pub const MFA_DEVICES_PER_USER_MAX: usize = 8;
/// Versions of one managed policy.
pub const POLICY_VERSIONS_MAX: usize = 5;
/// Groups one user is a member of.
pub const GROUPS_PER_USER_MAX: usize = 10;
/// Managed policies attached to one user, group or role.
pub const ATTACHED_POLICIES_MAX: usize = 10;
/// Tags of one entity.
pub const TAGS_MAX: usize = 50;
/// Users of one account.
pub const USERS_PER_ACCOUNT_MAX: usize = 5_000;
/// Groups of one account.
pub const GROUPS_PER_ACCOUNT_MAX: usize = 300;
/// Roles of one account.
pub const ROLES_PER_ACCOUNT_MAX: usize = 1_000;
/// Instance profiles of one account.
pub const INSTANCE_PROFILES_PER_ACCOUNT_MAX: usize = 1_000;
/// Server certificates of one account.
pub const SERVER_CERTIFICATES_PER_ACCOUNT_MAX: usize = 20;
/// OpenID Connect providers of one account.
pub const OIDC_PROVIDERS_PER_ACCOUNT_MAX: usize = 100;
/// Client ids of one OpenID Connect provider.
pub const CLIENT_IDS_PER_OIDC_PROVIDER_MAX: usize = 100;
/// Thumbprints of one OpenID Connect provider.
pub const THUMBPRINTS_PER_OIDC_PROVIDER_MAX: usize = 5;
/// SAML providers of one account.
pub const SAML_PROVIDERS_PER_ACCOUNT_MAX: usize = 100;
/// Bytes of a SAML provider's metadata document. AWS takes 10 000 000 characters; a transaction
/// here is at most 1 MiB, and every node keeps every document in memory.
pub const SAML_METADATA_BYTES_MAX: usize = 131_072;
/// Virtual MFA devices of one account.
pub const MFA_DEVICES_PER_ACCOUNT_MAX: usize = 5_000;
/// Roles of one instance profile.
pub const ROLES_PER_INSTANCE_PROFILE_MAX: usize = 1;
/// Customer managed policies of one account.
pub const POLICIES_PER_ACCOUNT_MAX: usize = 1_500;
/// Characters of a managed policy, white space not counted.
pub const MANAGED_POLICY_CHARS_MAX: usize = 6_144;
/// Characters of all inline policies of a user together, white space not counted.
pub const USER_INLINE_CHARS_MAX: usize = 2_048;
/// Characters of all inline policies of a group together, white space not counted.
pub const GROUP_INLINE_CHARS_MAX: usize = 5_120;
/// Characters of all inline policies of a role together, white space not counted.
pub const ROLE_INLINE_CHARS_MAX: usize = 10_240;
/// Characters of a role's trust policy, white space not counted.
pub const TRUST_POLICY_CHARS_MAX: usize = 2_048;
/// Characters of a session policy.
pub const SESSION_POLICY_CHARS_MAX: usize = 2_048;
/// Characters of a policy document as sent.
pub const POLICY_DOCUMENT_CHARS_MAX: usize = 131_072;
/// Page size when the caller names none.
pub const MAX_ITEMS_DEFAULT: usize = 100;
/// The greatest page size.
pub const MAX_ITEMS_MAX: usize = 1_000;
