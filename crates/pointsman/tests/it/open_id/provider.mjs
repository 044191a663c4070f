// A certified OpenID Connect provider with people of the tests: who signs in as `ann.lee@1` is called
// ann.lee and is in the groups `Web People` and `ops`. It ends with its standard input.
import Provider from 'oidc-provider';

const [port, back] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'pointsman',
    client_secret: 'a secret: of the tests & more',
    redirect_uris: [back],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  }],
  scopes: ['openid', 'profile', 'groups'],
  claims: { profile: ['preferred_username'], groups: ['groups'] },
  pkce: { required: () => true },
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id,
      preferred_username: id.split('@')[0],
      groups: ['Web People', 'ops'],
    }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
process.stdin.on('end', () => process.exit(0)).resume();
