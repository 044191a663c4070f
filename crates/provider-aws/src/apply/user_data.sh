#!/bin/bash
# Fetches the package of a release, checks it, and starts what its Procfile calls web.
# Every {{word}} is replaced by a value in single quotes; nothing else in a value is ever run.
# Needs bash, curl 7.75 or newer, tar, sha256sum and systemd, as on Amazon Linux 2023, and an
# instance profile that may read the bucket.
set -euo pipefail
exec > >(tee -a /var/log/pointsman.log | logger -t pointsman) 2>&1

SERVICE={{service}}
VERSION={{version}}
DIGEST={{digest}}
BUCKET={{bucket}}
KEY={{key}}
REGION={{region}}
ENDPOINT={{endpoint}}
DRAIN_SECONDS={{drain_seconds}}
HOME_DIR="/opt/pointsman/$SERVICE/$DIGEST"

metadata() { # path
  local token
  token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token)
  curl -fsS -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/$1"
}

field() { # name, from JSON on standard input
  sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

fetch() { # file
  local role credentials url
  role=$(metadata meta-data/iam/security-credentials/)
  credentials=$(metadata "meta-data/iam/security-credentials/$role")
  url="https://$BUCKET.s3.$REGION.amazonaws.com/$KEY"
  if [ -n "$ENDPOINT" ]; then url="$ENDPOINT/$BUCKET/$KEY"; fi
  # The secrets go in by a file descriptor, never by an argument that others can read.
  curl -fsS --retry 5 --retry-connrefused --aws-sigv4 "aws:amz:$REGION:s3" -o "$1" -K - "$url" <<CONFIG
user = "$(field AccessKeyId <<<"$credentials"):$(field SecretAccessKey <<<"$credentials")"
header = "x-amz-security-token: $(field Token <<<"$credentials")"
header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
CONFIG
}

echo "pointsman: $SERVICE $VERSION ($DIGEST)"
mkdir -p "$HOME_DIR"
fetch "$HOME_DIR/package.tar.gz"
echo "$DIGEST  $HOME_DIR/package.tar.gz" | sha256sum --check --strict
mkdir -p "$HOME_DIR/files"
tar -xzf "$HOME_DIR/package.tar.gz" -C "$HOME_DIR/files" --no-same-owner
rm "$HOME_DIR/package.tar.gz"
COMMAND=$(sed -n 's/^web: *//p' "$HOME_DIR/files/Procfile" | head -n 1)
if [ -z "$COMMAND" ]; then echo "pointsman: the Procfile has no web process"; exit 1; fi

id -u pointsman-app >/dev/null 2>&1 || useradd --system --no-create-home --shell /sbin/nologin pointsman-app
cat >"$HOME_DIR/run" <<'VARIABLES'
#!/bin/bash
{{variables}}
VARIABLES
printf 'cd %q\nexec %s\n' "$HOME_DIR/files" "$COMMAND" >>"$HOME_DIR/run"
# Variables may be secrets: only the service may read them.
chown root:pointsman-app "$HOME_DIR/run"
chmod 0550 "$HOME_DIR/run"

cat >/etc/systemd/system/pointsman-app.service <<UNIT
[Unit]
Description=A service that Pointsman started
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=$HOME_DIR/run
User=pointsman-app
Restart=always
RestartSec=1
# systemd takes 0 for no limit.
TimeoutStopSec=$((DRAIN_SECONDS > 0 ? DRAIN_SECONDS : 1))
NoNewPrivileges=true
AmbientCapabilities=CAP_NET_BIND_SERVICE

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now pointsman-app.service
