//! Files of other clients, as they are.

use super::*;

#[test]
fn the_files_of_the_known_clients_are_read_unchanged() {
    let claude = good(
        ".mcp.json",
        r#"{"mcpServers": {
            "files": {"type": "stdio", "command": "npx", "args": ["-y", "fs", "${HOME:-/}"], "env": {"A": "1"}},
            "web": {"type": "http", "url": "https://x.example/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}, "timeout": 600000}}}"#,
    );
    assert_eq!(command_line(&claude.servers["files"]), "npx -y fs ${HOME:-/}");
    assert_eq!(claude.servers["web"].timeout, Duration::from_mins(10));

    let code = good("mcp.json", "{\n// ours\n\"servers\": {\"a\": {\"type\": \"http\", \"url\": \"https://x\",},}}");
    assert_eq!(url(&code.servers["a"]), "https://x");

    let zed =
        good("settings.json", r#"{"theme": "One", "context_servers": {"z": {"command": "z", "enabled": false}}}"#);
    assert!(zed.servers["z"].disabled);

    let windsurf = good(
        "mcp_config.json",
        r#"{"mcpServers": {"w": {"serverUrl": "https://w", "disabled": true, "disabledTools": ["rm"]}}}"#,
    );
    assert!(windsurf.servers["w"].disabled && !windsurf.servers["w"].tools.admits("rm"));

    let gemini = good("settings.json", r#"{"mcpServers": {"g": {"httpUrl": "https://g", "includeTools": ["a"]}}}"#);
    assert_eq!(url(&gemini.servers["g"]), "https://g");
    assert!(gemini.servers["g"].tools.admits("a") && !gemini.servers["g"].tools.admits("b"));

    let copilot = good("mcp-config", r#"{"mcpServers": {"c": {"type": "local", "command": "c", "tools": ["*"]}}}"#);
    assert!(copilot.servers["c"].tools.admits("anything"));
}

#[test]
fn what_another_client_knows_and_we_do_not_is_only_mentioned() {
    let (registry, problems) = load_files(&[(
        "mcp.json",
        r#"{"inputs": [{"id": "k"}],
"servers": {
 "My Server": {"command": "x", "envFile": ".env", "gallery": true, "timeout": 60},
 "old": {"type": "sse", "command": "x"},
 "asks": {"command": "x", "env": {"K": "${input:my-key}"}},
 "odd": {"type": "ws", "url": "wss://x"},
 "torn": {"type": "stdio", "url": "https://x", "args": []}
}}"#,
    )]);
    assert_eq!(
        problems,
        [
            "mcp.json:1:2: warning[MO1009]: `inputs` is ignored: nobody is asked for values here; use `${VAR}` in place of `${input:…}` and set the variable",
            "mcp.json:3:2: warning[MO1004]: the server `My Server` is called `My_Server` here; a server's name is 1 to 64 of `A-Z a-z 0-9 _ -`",
            "mcp.json:3:32: warning[MO1009]: `servers.My Server.envFile` is ignored; put the variables into `env`",
            "mcp.json:3:51: warning[MO1009]: `servers.My Server.gallery` is ignored",
            "mcp.json:3:68: warning[MO1009]: `servers.My Server.timeout` could be in seconds or in milliseconds and is ignored; write \"60s\" or \"60ms\"",
            "mcp.json:4:10: error[MO1007]: `servers.old.type` does not go with `command`",
            "mcp.json:5:40: error[MO1004]: `servers.asks.env.K`: `${input:…}` is not supported yet; use `${MY_KEY}` and set `MY_KEY` in the environment",
            "mcp.json:6:18: error[MO1004]: `servers.odd.type` must be one of `stdio`, `local`, `http`, `streamable-http`, `streamableHttp`, `streamable_http`, `remote`, `sse`, not `ws`",
            "mcp.json:6:31: error[MO1004]: `servers.odd.url` is no URL of http, https or a socket; it has the form `https://HOST/PATH`, `unix:///PATH/OF/SOCKET` or `http+unix://%2FPATH%2FOF%2FSOCKET/PATH`, or begins with a placeholder such as `${URL}`",
            "mcp.json:7:11: error[MO1007]: `servers.torn.type` does not go with `url`",
            "mcp.json:7:48: warning[MO3002]: `servers.torn.args` has no effect without `command`",
        ]
    );
    assert_eq!(names(&registry), ["My_Server"]);
    assert_eq!(registry.servers["My_Server"].timeout, Duration::from_mins(1));
}
