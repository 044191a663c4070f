//! The configurations of nginx and HAProxy that the router is measured against.
//!
//! Invariant: every proxy keeps connections alive on both sides, writes no access log and sets the
//! same `X-Forwarded-*` fields.

use std::path::Path;

/// The part of nginx's configuration that is the same for backend and proxy.
pub(super) fn nginx_conf(folder: &Path, name: &str, workers: usize, site: &str) -> String {
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("{kind}_temp_path {folder}/{name}-{kind};"));
    format!(
        "worker_processes {workers}; daemon off; pid {folder}/{name}.pid;\n\
         error_log {folder}/{name}.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off; sendfile on; open_file_cache max=10;\n  \
         keepalive_requests 1000000000; keepalive_timeout 75;\n  {}\n  {site}\n}}\n",
        temporary.join(" ")
    )
}

/// nginx as a proxy before the backend.
pub(super) fn nginx_site(backend: u16, port: u16) -> String {
    format!(
        "upstream instances {{ server 127.0.0.1:{backend}; keepalive 64; \
         keepalive_requests 1000000000; }}\n  \
         server {{ listen 127.0.0.1:{port} reuseport; location / {{\n    \
         proxy_pass http://instances; proxy_http_version 1.1; proxy_set_header Connection \"\";\n    \
         proxy_set_header Host $http_host;\n    \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    \
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;\n  \
         }} }}"
    )
}

/// nginx as a proxy that copies 5 % of the requests to `shadow`, the way its manual shows. It waits
/// for copies as long as our router does.
pub(super) fn nginx_mirror_site(backend: u16, port: u16, shadow: u16) -> String {
    let site = nginx_site(backend, port);
    let copied = site.replacen("location / {", "location / { mirror /copy;", 1);
    let site = copied.strip_suffix('}').unwrap_or(&copied);
    format!(
        "split_clients $request_id $copied {{ 5% 1; * 0; }}\n  \
         upstream shadow {{ server 127.0.0.1:{shadow}; keepalive 64; \
         keepalive_requests 1000000000; }}\n  {site}\n    \
         location = /copy {{ internal; if ($copied = 0) {{ return 204; }}\n      \
         proxy_pass http://shadow$request_uri; proxy_http_version 1.1;\n      \
         proxy_read_timeout 5s; proxy_set_header Connection \"\";\n      \
         proxy_set_header Host $http_host; proxy_set_header X-Pointsman-Shadow 1;\n      \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;\n    \
         }} }}"
    )
}

/// HAProxy before the backend, as fair as nginx.
pub(super) fn haproxy_config(backend: u16, port: u16, threads: usize) -> String {
    format!(
        "global\n  nbthread {threads}\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 2s\n  timeout client 75s\n  timeout server 60s\n  \
         option http-keep-alive\n  http-reuse always\n\
         frontend users\n  bind 127.0.0.1:{port}\n  option forwardfor\n  \
         http-request set-header X-Forwarded-Proto http\n  \
         http-request set-header X-Forwarded-Host %[req.hdr(host)]\n  default_backend instances\n\
         backend instances\n  server one 127.0.0.1:{backend}\n"
    )
}
