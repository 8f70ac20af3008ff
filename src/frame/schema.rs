//! The one table of columns: name, type, where it comes from, what it means.
//!
//! Rules, SQL, exports and the browser use these names; Sigma rules name the audit path and are looked
//! up here too. Absent and empty are null alike, since the API server leaves out what is empty.

use polars::prelude::{DataType, TimeUnit, TimeZone};

/// How a column is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text that repeats: `Categorical`, 32-bit codes into the run's [`super::Vocabulary`].
    Coded,
    /// A list of texts that repeats: as `Coded`, the text being the list as compact JSON.
    CodedList,
    /// Text that seldom repeats: `String`.
    Text,
    /// Microseconds since the Unix epoch, UTC: `Datetime`.
    Time,
    /// `UInt32`
    Number,
    /// `UInt64`
    Long,
    /// `Boolean`
    Flag,
}

macro_rules! columns {
    ($($variant:ident $name:literal $kind:ident $path:literal $meaning:literal;)*) => {
        /// A column of the event frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Column {
            $(#[doc = $meaning] $variant,)*
        }

        impl Column {
            /// All columns, in the order of the frame.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the column's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns how the column is stored.
            pub const fn kind(self) -> ColumnType {
                match self { $(Self::$variant => ColumnType::$kind,)* }
            }

            /// Returns the path in the audit event; empty if the column is derived.
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }

            /// Returns what the column means, as a phrase.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

columns! {
    Ts "ts" Time "requestReceivedTimestamp" "When the API server received the request.";
    StageTs "stage_ts" Time "stageTimestamp" "When the stage was reached.";
    AuditId "audit_id" Text "auditID" "Identity of the request; the client may choose it.";
    Stage "stage" Coded "stage" "`RequestReceived`, `ResponseStarted`, `ResponseComplete` or `Panic`.";
    Level "level" Coded "level" "How much the policy lets the event hold.";
    Verb "verb" Coded "verb" "Kubernetes verb, or the HTTP method in lower case.";
    RequestUri "request_uri" Text "requestURI" "Path and query.";
    UserAgent "user_agent" Coded "userAgent" "What the client calls itself.";
    Username "username" Coded "user.username" "The authenticated user; null on a 401.";
    UserUid "user_uid" Coded "user.uid" "Its uid.";
    UserGroups "user_groups" CodedList "user.groups" "Its groups.";
    ImpUsername "imp_username" Coded "impersonatedUser.username" "Whom the user impersonated.";
    ImpGroups "imp_groups" CodedList "impersonatedUser.groups" "The groups impersonated.";
    CredentialId "credential_id" Coded "user.extra.authentication.kubernetes.io/credential-id"
        "Identity of the credential: `JTI=` of a token or `X509SHA256=` of a certificate.";
    IssuedCredentialId "issued_credential_id" Text
        "annotations.authentication.kubernetes.io/issued-credential-id"
        "The credential that this token request issued.";
    TokenPod "token_pod" Coded "user.extra.authentication.kubernetes.io/pod-name"
        "The Pod that the token is bound to.";
    TokenPodUid "token_pod_uid" Coded "user.extra.authentication.kubernetes.io/pod-uid" "Its uid.";
    TokenNode "token_node" Coded "user.extra.authentication.kubernetes.io/node-name"
        "The node that the token is bound to.";
    SourceIps "source_ips" CodedList "sourceIPs" "All addresses; only the last cannot be forged.";
    ClientIp "client_ip" Coded "" "The first address: what the client claims.";
    PeerIp "peer_ip" Coded "" "The last address: the connection's.";
    ApiGroup "api_group" Coded "objectRef.apiGroup" "API group; null is the core group.";
    ApiVersion "api_version" Coded "objectRef.apiVersion" "API version.";
    Resource "resource" Coded "objectRef.resource" "Resource, plural; null on other requests.";
    Subresource "subresource" Coded "objectRef.subresource" "Subresource.";
    Namespace "namespace" Coded "objectRef.namespace" "Namespace.";
    Name "name" Text "objectRef.name" "Name of the object.";
    ObjectUid "object_uid" Text "objectRef.uid" "Its uid; of a deletion, that of the deleted object.";
    Code "code" Number "responseStatus.code" "HTTP status.";
    Reason "reason" Coded "responseStatus.reason" "Why it failed, in one word.";
    Message "message" Text "responseStatus.message" "Why it failed, in a sentence.";
    Decision "decision" Coded "annotations.authorization.k8s.io/decision" "`allow` or `forbid`.";
    AuthzReason "authz_reason" Coded "annotations.authorization.k8s.io/reason"
        "The binding and role that let the request through.";
    LegacyToken "legacy_token" Coded "annotations.authentication.k8s.io/legacy-token"
        "The ServiceAccount, if its credential is a long-lived Secret token.";
    LegacySecret "legacy_secret" Coded "annotations.authentication.k8s.io/legacy-token-manual-secret"
        "The Secret that holds that token.";
    LegacyInvalidated "legacy_invalidated" Coded
        "annotations.authentication.k8s.io/legacy-token-invalidated"
        "The Secret whose token was refused because it had been invalidated.";
    Truncated "truncated" Coded "annotations.audit.k8s.io/truncated"
        "`true` if the API server left out the bodies for their size.";
    IdentityKind "identity_kind" Coded ""
        "`user`, `serviceaccount`, `node`, `component`, `anonymous` or `none`.";
    CredentialKind "credential_kind" Coded "" "Authentication method, as far as the log can tell.";
    Credential "credential" Coded "" "The best key of the credential that the event offers.";
    Actor "actor" Coded "" "Whom RBAC judged: the impersonated user, else the user.";
    IsMasters "is_masters" Flag "" "Whether the user's or the impersonated groups hold `system:masters`.";
    Outcome "outcome" Coded "" "`ok`, `denied`, `unauthenticated` or `error`; null without a response.";
    Cluster "cluster" Coded "" "Name of the cluster, if given or told by an envelope.";
    LogNode "log_node" Coded "" "The machine that wrote the log, if an envelope tells it.";
    LogStream "log_stream" Coded "" "The log stream or API server pod, if an envelope tells it.";
    Envelope "envelope" Coded "" "What the event was wrapped in, from outside in; null for a bare one.";
    File "file" Coded "" "The file, as given.";
    Line "line" Long "" "Line of the record in the file, from 1.";
    Offset "offset" Long "" "Byte offset of the record in the decompressed file.";
    Length "length" Number "" "Bytes of the record, its envelopes included.";
}

impl Column {
    /// Returns the number of columns.
    pub const COUNT: usize = Self::ALL.len();

    /// Returns the column of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|column| column.name() == name)
    }

    /// Returns the column that holds that path of an audit event.
    pub fn by_path(path: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|column| column.path() == path && !path.is_empty())
    }

    /// Returns the Polars type; `coded` is the type of the run's vocabulary.
    pub fn data_type(self, coded: &DataType) -> DataType {
        match self.kind() {
            ColumnType::Coded | ColumnType::CodedList => coded.clone(),
            ColumnType::Text => DataType::String,
            ColumnType::Time => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            ColumnType::Number => DataType::UInt32,
            ColumnType::Long => DataType::UInt64,
            ColumnType::Flag => DataType::Boolean,
        }
    }
}
