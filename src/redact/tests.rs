//! What is a secret, and what only looks like one.

use super::*;

#[test]
fn secrets_are_redacted() {
    fn check(input: &str, expected: &str) {
        let redacted = redact(input);
        assert_eq!(redacted, expected);
        assert_eq!(redact(&redacted), expected, "a second pass changes nothing");
    }
    check(
        "/x?sig=a%2Fb&pwd=c&session=d",
        "/x?sig=[redacted]&pwd=[redacted]&session=[redacted]",
    );
    check("mc --secret-key x", "mc --secret-key [redacted]");
    check(
        "mongosh -u root -p hunter2 db",
        "mongosh -u root -p [redacted] db",
    );
    check(
        "ldapsearch -D cn=a -w hunter2 -b dc",
        "ldapsearch -D cn=a -w[redacted] -b dc",
    );
    check(
        "htpasswd -bc file bob hunter2",
        "htpasswd -bc file bob [redacted]",
    );
    check(
        "create secret generic s --from-literal=k=hunter2",
        "create secret generic s --from-literal=k=[redacted]",
    );
    check(
        "git clone https://0123456789abcdef0123@git.example/x",
        "git clone https://[redacted]@git.example/x",
    );
    check(
        "curl -b session=abc https://x",
        "curl -b session=[redacted] https://x",
    );
    check("password: hunter2", "password: [redacted]");
    check(
        r#"{"secretKey": "x", "ENCRYPTION_KEY":"y"}"#,
        r#"{"secretKey": "[redacted]", "ENCRYPTION_KEY":"[redacted]"}"#,
    );
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl_-x";
    check(jwt, REDACTED);
    check("DB_PASS=hunter2 app", "DB_PASS=[redacted] app");
    check(
        "cd /x; MYSQL_PWD='hunter2' mysql",
        "cd /x; MYSQL_PWD=[redacted] mysql",
    );
    check("by xoxb-123456789012-abcdef", "by [redacted]");
    check("key glpat-abcdefghij0123456789", "key [redacted]");
    check("key hvs.abcdefghij0123456789", "key [redacted]");
    check("github_pat_abcdefghij0123456789", REDACTED);
    check(&format!("agent {jwt} x"), "agent [redacted] x");
    check(
        &format!("Authorization: Bearer {jwt}"),
        "Authorization: Bearer [redacted]",
    );
    check("Bearer xxx", "Bearer [redacted]");
    check(
        "authorization%3A%20bearer%20abc.def",
        "authorization%3A%20bearer%20[redacted]",
    );
    check(
        "Authorization: Basic dXNlcjpwYXNz",
        "Authorization: Basic [redacted]",
    );
    check(
        "join --discovery abcdef.0123456789abcdef",
        "join --discovery [redacted]",
    );
    check("a%3Dabcdef.0123456789abcdef", "a%3D[redacted]");
    check(
        "/x?access_token=abc&watch=true",
        "/x?access_token=[redacted]&watch=true",
    );
    check("/x?watch=true&token=abc", "/x?watch=true&token=[redacted]");
    check(
        "/x?password=p%26q&secret=s",
        "/x?password=[redacted]&secret=[redacted]",
    );
    check(
        "/cb?code=abc&client_secret=d",
        "/cb?code=[redacted]&client_secret=[redacted]",
    );
    check(
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x",
        "[redacted] x",
    );
    check("a -----BEGIN CERTIFICATE-----MIIEcut", "a [redacted]");
    check("data LS0tLS1CRUdJTiBSU0EgUFJJ==", "data [redacted]");
    check(
        "mysql --password=hunter2 -h db",
        "mysql --password=[redacted] -h db",
    );
    check("x --vault-token 's e c' y", "x --vault-token [redacted] y");
    check("mysql -u root -phunter2", "mysql -u root -p[redacted]");
    check(
        "curl -u 'bob:hunter2' -H a:b http://x",
        "curl -u 'bob:[redacted]' -H a:b http://x",
    );
    check("curl --user=bob:hunter2", "curl --user=bob:[redacted]");
    check("DB_PASSWORD=hunter2 run", "DB_PASSWORD=[redacted] run");
    check(
        r#"{"dbPassword":"a\"b","x":"y"}"#,
        r#"{"dbPassword":"[redacted]","x":"y"}"#,
    );
    for name in [
        "DB_PASS",
        "db_pass",
        "DBPASS",
        "dbPass",
        "pass",
        "auth",
        "spring.pass",
        "Proxy-Auth",
        "pwd2",
    ] {
        check(
            &format!("export {name}=hunter2; run"),
            &format!("export {name}=[redacted]; run"),
        );
        check(
            &format!("{name} = 'hunter2' x"),
            &format!("{name} = [redacted] x"),
        );
        check(
            &format!(r#"{{"{name}":"hunter2"}}"#),
            &format!(r#"{{"{name}":"[redacted]"}}"#),
        );
        check(
            &format!("d={{'{name}': 'hunter2'}}"),
            &format!("d={{'{name}': '[redacted]'}}"),
        );
        check(
            &format!(r#"{{\"{name}\": \"hunter2\"}}"#),
            &format!(r#"{{\"{name}\": \"[redacted]\"}}"#),
        );
        check(
            &format!("/x?a=b&{name}=hunter2&c=d"),
            &format!("/x?a=b&{name}=[redacted]&c=d"),
        );
        assert!(is_telling(name), "{name}");
    }
    check("PASSWORD=$(echo hunter2) x", "PASSWORD=[redacted] x");
    check("token=`cat x`; y", "token=[redacted]; y");
    check(
        r#"p["password"] = "hunter2""#,
        r#"p["password"] = [redacted]"#,
    );
    check(
        "connect(user='a', password='hunter2')",
        "connect(user='a', password=[redacted]",
    );
    check("a=1,password=hunter2,b=2", "a=1,password=[redacted]");
    check(
        "echo root:hunter2 | chpasswd",
        "echo root:[redacted] | chpasswd",
    );
    check(
        "echo 'root:hun ter2' | sudo /usr/sbin/chpasswd",
        "echo 'root:[redacted] | sudo /usr/sbin/chpasswd",
    );
    check(
        "chpasswd <<< 'root:hunter2'",
        "chpasswd <<< 'root:[redacted]'",
    );
    check(
        "echo hunter2 | passwd --stdin root",
        "echo [redacted] | passwd --stdin root",
    );
    check(
        "echo hunter2 | docker login -u a --password-stdin",
        "echo [redacted] | docker login -u a --password-stdin",
    );
    check(
        "redis-cli -h a --pass hunter2 ping",
        "redis-cli -h a --pass [redacted] ping",
    );
    check(
        "redis-cli -h a AUTH bob hunter2",
        "redis-cli -h a AUTH [redacted]",
    );
    check(
        "vault login -no-print hunter2; x",
        "vault login -no-print [redacted]; x",
    );
    check(
        "keytool -list -storepass hunter2",
        "keytool -list -storepass [redacted]",
    );
    check("cqlsh -u a -p hunter2", "cqlsh -u a -p [redacted]");
    check(
        "rabbitmqctl add_user u hunter2",
        "rabbitmqctl add_user u [redacted]",
    );
    check(
        "identified with mysql_native_password by 'hunter2'",
        "identified with mysql_native_password by '[redacted]'",
    );
    check(
        "https://x/?a=b&key=hunter2",
        "https://x/?a=b&key=[redacted]",
    );
    check(
        "/proxy/x?cmd=curl+-uadmin%3Ahunter2+x",
        "/proxy/x?cmd=curl+-uadmin%3A[redacted]+x",
    );
    check(
        "DefaultEndpointsProtocol=https;AccountKey=ab+/c==;EndpointSuffix=x",
        "DefaultEndpointsProtocol=https;AccountKey=[redacted];EndpointSuffix=x",
    );
    check(
        r#"Secret "s" is invalid: data[password]: Invalid value: "hunter2""#,
        r#"Secret "s" is invalid: data[password]: Invalid value: "[redacted]""#,
    );
    check("sk_live_0123456789abcdef", REDACTED);
    check("key AKIAIOSFODNN7EXAMPLE.", "key [redacted].");
    check("ASIAIOSFODNN7EXAMPLE", REDACTED);
    check("k8s-aws-v1.aHR0cHM6Ly9z", "k8s-aws-v1.[redacted]");
    check(
        "https://bob:pw@registry.example/x",
        "https://bob:[redacted]@registry.example/x",
    );
}

#[test]
fn exec_arguments_are_redacted() {
    fn check(input: &str, expected: &str) {
        let uri = |arguments| format!("/api/v1/namespaces/a/pods/b/exec?{arguments}&stdin=true");
        assert_eq!(redact(&uri(input)), uri(expected));
        assert_eq!(redact(&uri(expected)), uri(expected));
    }
    check("command=ls&command=-la", "command=ls&command=-la");
    check(
        "command=sshpass&command=-p&command=hunter2&command=ssh&command=-p&command=22",
        "command=sshpass&command=-p&command=[redacted]&command=ssh&command=-p&command=[redacted]",
    );
    check(
        "command=redis-cli&command=-a&command=hunter2",
        "command=redis-cli&command=-a&command=[redacted]",
    );
    check(
        "command=sh&command=-c&command=mysql+-p%27hunter2%27+-e+x",
        "command=sh&command=-c&command=mysql+-p[redacted]%27+-e+x",
    );
    check(
        "command=sh&command=-c&command=docker+login+-u+me+-p+hunter2+host",
        "command=sh&command=-c&command=docker+login+-u+me+-p[redacted]+host",
    );
    check(
        "command=echo&command=%7B%22password%22%3A%22hunter2%22%7D",
        "command=echo&command=%7B%22password%22%3A[redacted]",
    );
    check(
        "command=git&command=clone&command=https%3A%2F%2Fme%3Ahunter2%40host%2Fx",
        "command=git&command=clone&command=https%3A%2F%2Fme%3A[redacted]%40host%2Fx",
    );
    check(
        "command=mysql&command=-phunter2",
        "command=mysql&command=-p[redacted]",
    );
    check(
        "command=find&command=-print0",
        "command=find&command=-print0",
    );
    check(
        "command=--password%3Da%26b",
        "command=--password%3D[redacted]",
    );
    check(
        "command=x&command=--token&command=abc",
        "command=x&command=--token&command=[redacted]",
    );
    check(
        "command=env&command=API_KEY%3Dabc",
        "command=env&command=API_KEY%3D[redacted]",
    );
    check(
        "command=sh&command=-c&command=export%20dbPassword%3D%27a%20b%27%3B%20curl%20evil",
        "command=sh&command=-c&command=export%20dbPassword%3D[redacted]%3B%20curl%20evil",
    );
    check(
        "command=curl&command=X-Vault-Token%3A+s.abc+http",
        "command=curl&command=X-Vault-Token%3A+[redacted]+http",
    );
    check(
        "command=mysql+-u+root+-phunter2",
        "command=mysql+-u+root+-p[redacted]",
    );
    check(
        "command=curl&command=-u&command=bob%3Ahunter2&command=http%3A%2F%2Fx",
        "command=curl&command=-u&command=bob%3A[redacted]&command=http%3A%2F%2Fx",
    );
    for (command, expected) in [
        ("az+login+-u+me+-p+hunter2", "az+login+-u+me+-p[redacted]"),
        (
            "psql+-c+%22ALTER+USER+me+WITH+PASSWORD+%27hunter2%27%22",
            "psql+-c+%22ALTER+USER+me+WITH+PASSWORD+%27[redacted]%27%22",
        ),
        (
            "aws+configure+set+aws_secret_access_key+hunter2",
            "aws+configure+set+aws_secret_access_key+[redacted]",
        ),
        (
            "curl%20https%3A%2F%2Fhooks.slack.com%2Fservices%2FT0%2FB0%2Fhunter2",
            "curl+https%3A%2F%2Fhooks.slack.com%2Fservices%2F[redacted]",
        ),
        ("curl+-uadmin%3Ahunter2+x", "curl+-uadmin%3A[redacted]+x"),
        (
            "openssl+rsa+-passin+pass%3Ahunter2",
            "openssl+rsa+-passin+pass%3A[redacted]",
        ),
    ] {
        check(
            &format!("command=sh&command=-c&command={command}"),
            &format!("command=sh&command=-c&command={expected}"),
        );
    }
    check(
        "command=curl&command=-H&command=Authorization%3A%20Basic%20YWRtaW46c3VwZXI%3D",
        "command=curl&command=-H&command=Authorization%3A+Basic+[redacted]",
    );
    check(
        "command=curl&command=-b&command=Cookie%3A%20session%3Dabc",
        "command=curl&command=-b&command=Cookie%3A+[redacted]",
    );
    check(
        "command=env&command=MYSQL_PWD%3Dhunter2",
        "command=env&command=MYSQL_PWD%3D[redacted]",
    );
    check(
        "command=az&command=login&command=-u&command=me&command=-p&command=hunter2",
        "command=az&command=login&command=-u&command=me&command=-p&command=[redacted]",
    );
    check(
        "command=openssl&command=enc&command=-pass&command=pass%3Ahunter2",
        "command=openssl&command=enc&command=-pass&command=pass%3A[redacted]",
    );
    check(
        "redis-server --requirepass hunter2 --masterauth=hunter2",
        "redis-server --requirepass [redacted] --masterauth=[redacted]",
    );
    check(
        "command=mongosh&command=-u&command=root&command=-p&command=hunter2",
        "command=mongosh&command=-u&command=root&command=-p&command=[redacted]",
    );
    check(
        "command=ldapsearch&command=-w&command=hunter2&command=-b&command=dc",
        "command=ldapsearch&command=-w&command=[redacted]&command=-b&command=dc",
    );
    check(
        "command=kubectl&command=create&command=--from-literal&command=k%3Dhunter2",
        "command=kubectl&command=create&command=--from-literal&command=k%3D[redacted]",
    );
    check(
        "command=sh&command=-c&command=mongo+-u+root+-p+hunter2",
        "command=sh&command=-c&command=mongo+-u+root+-p+[redacted]",
    );
    check(
        "command=sh&command=-c&command=curl+-u+bob:hunter2+http%3A%2F%2Fx",
        "command=sh&command=-c&command=curl+-u+bob:[redacted]+http%3A%2F%2Fx",
    );
}

#[test]
fn harmless_text_is_kept() {
    fn check(input: &str) {
        assert!(
            matches!(redact(input), Cow::Borrowed(_)) || redact(input) == input,
            "{input}"
        );
    }
    check("system:serviceaccount:kube-system:token-cleaner");
    check("COMPASS=north BYPASS=1 PWD=/root OLDPWD=/tmp");
    check("/exec?command=grep&command=-a&command=x&command=-p&command=y");
    check("/proxy?to=https%3A%2F%2Fhost%3A8080%2Fa");
    check("/exec?command=sh&command=-c&command=echo%20a%20%26%26%20echo%20-unit%3Ax");
    check("the password was refused; byPass: yes; cookies: 3");
    check("sort -u a b: c");
    check("bearer token used from two addresses");
    // A sentence goes on behind what was taken out before.
    check("set `--password=[redacted]: 1 request`, and ?token=[redacted], twice");
    check("code = 403 after code=401");
    check("annotations.authentication.k8s.io/legacy-token = system:serviceaccount:a:b");
    for argument in [
        "--field-selector key=abc",
        "author=bob",
        "monkey=abc",
        "keyboard=us",
        "bypass=1",
        "byPass=yes",
        "compass=north",
        "labelSelector=app.kubernetes.io/name=x",
        "--from-file=key.txt",
        "--authorization-mode=RBAC",
        "--authentication-mode=x",
        "--key=/etc/kubernetes/pki/etcd/server.key",
        "sort --key=2",
        "oauth=1",
        "pass=true",
        "auth = basic",
        "PWD=/root",
        "trespass=abc",
        "authority=abc",
        "passenger=abc",
        "keys=3",
        "--pass-credentials=x",
        "vault login -method=userpass username=bob",
        "redis-cli -h a get auth",
        "echo a:b | grep c",
        "echo hello | sudo -u bob cat",
        "rabbitmqctl list_users x y",
        "d={'key': 'a'}",
        "primary_key=id",
        "git log --author=bob",
        "path:auth/login",
        "auth: basic",
    ] {
        check(argument);
        let encoded: String = form_urlencoded::byte_serialize(argument.as_bytes()).collect();
        check(&format!("/exec?command=sh&command=-c&command={encoded}"));
        check(&format!("/exec?{argument}"));
    }
    check("JTI=0c1f2a3b-0000-4000-8000-000000000000");
    check("X509SHA256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    check("node01.18a3b4c5d6e7f809");
    check("fieldSelector=type%3Dkubernetes.io%2Fservice-account-token");
    check("secrets \u{2192} 12 tokens in kube-system");
    check("kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc");
    check("/api/v1/namespaces/ci/serviceaccounts/builder/token?timeout=30s");
}

#[test]
fn one_word_is_redacted_as_a_command_of_one_word() {
    for word in [
        "get",
        "kube-system",
        "abcdef.0123456789abcdef",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
        "https://user:hunter2@db.example.com/x",
        "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
        "AKIAIOSFODNN7EXAMPLE",
        "",
    ] {
        let argv = [word.to_owned()];
        assert_eq!(redact_arguments(&argv), [redact_command(&argv)], "{word}");
    }
}

#[test]
fn the_argument_of_a_flag_is_redacted_with_it() {
    for flag in [["redis-cli", "-a"], ["sshpass", "-p"], ["x", "--token"]] {
        let argv: Vec<String> = flag
            .into_iter()
            .chain(["hunter2"])
            .map(Into::into)
            .collect();
        let expected: Vec<String> = flag.into_iter().chain([REDACTED]).map(Into::into).collect();
        assert_eq!(redact_arguments(&argv), expected);
    }
}

/// Commands with passwords in them, each argument in a line of its own; `%` stands for the password.
const COMMANDS: &str = r#"
mysql -uroot -p% -e x
mysql --user=root --password %
sh -c|export db_pass=%; run
sh -c|export DBPASS=%; run
sh -c|export AUTH=%
psql|host=db password=% user=x
curl -d|{"pass":"%"} https://x
curl -d|{'password': '%'} https://x
curl -d|user=a&pwd=% https://x
curl https://x/?key=%
curl https://x/?a=b&auth=%
curl -uadmin:% https://x
sh -c|token = %
sh -c|PASSWORD=$(echo %)
sh -c|PASSWORD="$(echo %)" x
sh -c|echo root:% ! chpasswd
sh -c|echo "root:%" ! sudo chpasswd
sh -c|echo % ! passwd --stdin root
vault login %
/usr/bin/vault login -no-print %
vault login token=%
sh -c|vault login %
redis-cli AUTH %
redis-cli -h a auth bob %
redis-cli --pass %
sh -c|redis-cli -h a AUTH %
sh -c|redis-cli --pass % ping
keytool -storepass %
keytool -keypass %
java -Djavax.net.ssl.keyStorePassword=%
cqlsh -u a -p %
sh -c|cqlsh -u a -p % h
rabbitmqctl change_password u %
rabbitmqctl -q add_user u %
sh -c|rabbitmqctl add_user u %
mysql -e|create user x identified with mysql_native_password by '%'
mysql -e|create user x identified by '%'
mysql -e|set password for root = password('%')
mysql -e|set password for root = '%'
sqlcmd -U sa -P %
sh -c|sqlcmd -U sa -P % -Q x
sh -c|export CREDENTIALS=%
useradd -p % bob
ansible -e ansible_become_pass=%
python3 -c|d={'password': '%'}
python3 -c|connect(password="%")
zip -P % a.zip b
sh -c|zip -r -P % a.zip b
sh -c|7z a -p% a.7z b
openssl enc -aes256 -k % -in a
sh -c|openssl enc -aes256 -k % -in a
kadmin -p admin -w % q
sh -c|kadmin -p admin -w % q
crictl pull --creds u:% a
sh -c|skopeo copy --src-creds=u:% a b
npm config set //npm.example/:_authToken %
sh -c|npm config set _authToken %
aws configure set aws_secret_access_key %
mysql -u a -p %
sh -c|mysqladmin -u root password %
sh -c|sqlplus -s u/%@h
curl --oauth2-bearer % https://x
sh -c|curl --oauth2-bearer % https://x
curl -b sid=% https://x
"#;

#[test]
fn no_way_of_writing_a_command_shows_its_password() {
    for command in COMMANDS.trim().lines() {
        let (words, script) = command.split_once('|').unwrap_or((command, ""));
        let words = words
            .split(' ')
            .chain((!script.is_empty()).then_some(script));
        let argv: Vec<String> = words
            .map(|word| word.replace('!', "|").replace('%', "Sup3rS3cr3t"))
            .collect();
        let uri = |encode: fn(&str) -> String| {
            let arguments: Vec<String> = argv
                .iter()
                .map(|word| format!("command={}", encode(word)))
                .collect();
            format!("/api/v1/namespaces/a/pods/b/exec?{}", arguments.join("&"))
        };
        let form = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let percent = |text: &str| {
            form_urlencoded::byte_serialize(text.as_bytes())
                .collect::<String>()
                .replace('+', "%20")
        };
        for text in [
            redact(&uri(form)).into_owned(),
            redact(&uri(percent)).into_owned(),
            redact_command(&argv),
            redact_arguments(&argv).join("\n"),
            redact(&argv.join(" ")).into_owned(),
        ] {
            assert!(!text.contains("S3cr3t"), "{command}: {text}");
            assert_eq!(redact(&text), text, "a second pass changes nothing");
        }
    }
}

#[test]
fn time_is_linear() {
    for part in [
        "token=",
        "pass=\"",
        "pass='a",
        "auth=$(",
        "pass=`",
        "\"pass\":\"",
        "'pass': '",
        "echo a:",
        "echo -n ",
        "vault login ",
        "redis-cli a auth",
        "rabbitmqctl add_user ",
        "chpasswd <<<a:",
        "identified with a ",
        "a_pass",
        "a-",
        "curl+-u",
        "password(",
        "command=redis-cli&command=auth&",
        "command=-ua:b&",
        "\\\"pass\\\":\\\"",
    ] {
        let time = |n: usize| {
            let text = format!("/exec?command=sh&command={}", part.repeat(n / part.len()));
            let start = std::time::Instant::now();
            let _ = redact(&text);
            start.elapsed().as_secs_f64()
        };
        time(1000);
        let (short, long) = (time(20_000), time(160_000));
        // Eight times the text; a square would be 64 times.
        assert!(long < 32.0 * short + 0.2, "{part}: {short} {long}");
    }
}

proptest::proptest! {
    #[test]
    fn arguments_are_redacted_as_they_are_together(
        argv in proptest::collection::vec(
            "-{0,2}(vault|login|auth|add_user|rabbitmqctl|pass|token|password|p|u|a|login|sshpass|redis-cli|mysql|curl|az|bearer|Authorization:|basic|aws_session_token\
            |user:hunter2|abcdef\\.0123456789abcdef|https://a:b@c|AKIAIOSFODNN7EXAMPLE|JTI=[0-9a-f-]{0,40}|[a-zA-Z0-9./:_-]{0,12}|a=b|[a-z/]{0,3}(password|X-Api-Key|token)[a-z_.-]{0,2}:[a-z0-9:]{0,4})",
            0..5,
        )
    ) {
        proptest::prop_assert_eq!(redact_arguments(&argv), redact_together(&argv));
    }

    #[test]
    fn plain_texts_hold_nothing_that_a_pattern_would_take(
        text in "[A-Za-z]{0,19}|(eyJ|AKIA|ASIA|TOKEN|PASS|ya)[A-Za-z]{0,14}|(JTI=|X509SHA256=)?[0-9A-Fa-f-]{0,80}"
    ) {
        proptest::prop_assert!(is_plain(&text));
        proptest::prop_assert!(!ANY.is_match(&text), "{text}");
    }
}
