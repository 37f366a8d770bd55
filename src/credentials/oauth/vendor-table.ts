/**
 * Vendors, one row each; `docs` is the vendor’s own page to hold it against. What could not be read there is marked
 * “unconfirmed” and is common knowledge only. Whatever is in doubt is left out: no PKCE, no revocation.
 */
import type { Vendor } from './vendor.ts'
import { identityVendors } from './vendor-identity.ts'

const openid = '.well-known/openid-configuration'

export const vendorTable: ReadonlyMap<string, Vendor> = new Map<string, Vendor>([
  ...identityVendors,
  [
    'google',
    {
      title: 'Google',
      docs: 'https://developers.google.com/identity/protocols/oauth2/web-server',
      // unconfirmed: its page was not at hand when this row was written
      discovery: `https://accounts.google.com/${openid}`,
      clientAuthentication: 'client_secret_post',
      pkce: true,
      // without a new consent, a second sign-in gets no refresh token
      authorizationParameters: { access_type: 'offline', prompt: 'consent' },
    },
  ],
  [
    'github',
    {
      title: 'GitHub',
      docs: 'https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps',
      authorization: 'https://{domain}/login/oauth/authorize',
      token: 'https://{domain}/login/oauth/access_token',
      defaults: { domain: 'github.com' },
      clientAuthentication: 'client_secret_post',
      // S256 only: github.blog/changelog/2025-07-14-pkce-support-for-oauth-and-github-app-authentication
      pkce: true,
      commaScopes: 'answer',
      quirks: ['errorWithSuccess'],
      graveErrors: ['bad_refresh_token'],
    },
  ],
  [
    'slack',
    {
      title: 'Slack',
      docs: 'https://docs.slack.dev/authentication/installing-with-oauth',
      authorization: 'https://slack.com/oauth/v2/authorize',
      token: 'https://slack.com/api/oauth.v2.access',
      clientAuthentication: 'client_secret_basic',
      // docs.slack.dev/authentication/using-pkce: switching it on makes the app a public client, for good
      pkce: false,
      commaScopes: 'both',
      // the user's own token; `scope` would ask for the bot's
      scopeParameter: 'user_scope',
      quirks: ['errorWithSuccess', 'authedUser', 'userTokenType'],
      graveErrors: ['invalid_refresh_token', 'token_revoked', 'token_expired'],
    },
  ],
  [
    'salesforce',
    {
      title: 'Salesforce',
      docs: 'https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_web_server_flow.htm',
      discovery: `https://{domain}/${openid}`,
      defaults: { domain: 'login.salesforce.com' },
      clientAuthentication: 'client_secret_post',
      pkce: true,
      offlineScopes: ['refresh_token'],
      // no expires_in: the session's length is a setting of the organization, and a 401 tells its end
    },
  ],
  [
    'atlassian',
    {
      title: 'Atlassian',
      docs: 'https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/',
      // unconfirmed: the JSON body, and the error of a refresh token that is over
      authorization: 'https://auth.atlassian.com/authorize',
      token: 'https://auth.atlassian.com/oauth/token',
      clientAuthentication: 'client_secret_post',
      // not mentioned there
      pkce: false,
      authorizationParameters: { audience: 'api.atlassian.com', prompt: 'consent' },
      offlineScopes: ['offline_access'],
      json: true,
      // “unauthorized_client” with a refresh token that is over
      graveErrors: ['unauthorized_client'],
    },
  ],
  [
    'linkedin',
    {
      title: 'LinkedIn',
      docs: 'https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow',
      // unconfirmed: that token_type is missing
      authorization: 'https://www.linkedin.com/oauth/v2/authorization',
      token: 'https://www.linkedin.com/oauth/v2/accessToken',
      clientAuthentication: 'client_secret_post',
      // only for native clients, at another address
      pkce: false,
      commaScopes: 'answer',
      // refresh tokens only for approved partners; the sample answer has no token_type
      quirks: ['noTokenType'],
    },
  ],
  [
    'x',
    {
      title: 'X',
      docs: 'https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token',
      authorization: 'https://x.com/i/oauth2/authorize',
      token: 'https://api.x.com/2/oauth2/token',
      revocation: 'https://api.x.com/2/oauth2/revoke',
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      offlineScopes: ['offline.access'],
    },
  ],
  [
    'facebook',
    {
      title: 'Facebook',
      docs: 'https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow',
      authorization: 'https://www.facebook.com/{version}/dialog/oauth',
      token: 'https://graph.facebook.com/{version}/oauth/access_token',
      defaults: { version: 'v25.0' },
      clientAuthentication: 'client_secret_post',
      // described for the OIDC flow only
      pkce: false,
      commaScopes: 'both',
      // no refresh tokens; …/guides/access-tokens/get-long-lived: about 60 days instead of hours
      longLived: 'fb_exchange_token',
      quirks: ['noTokenType'],
    },
  ],
  [
    'yandex',
    {
      title: 'Yandex',
      docs: 'https://yandex.com/dev/id/doc/en/codes/code-url',
      authorization: 'https://oauth.yandex.com/authorize',
      token: 'https://oauth.yandex.com/token',
      // its revoke_token is for tokens of one device only
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      scheme: 'OAuth',
    },
  ],
  [
    'reddit',
    {
      title: 'Reddit',
      docs: 'https://github.com/reddit-archive/reddit/wiki/OAuth2',
      // unconfirmed: revocation
      authorization: 'https://www.reddit.com/api/v1/authorize',
      token: 'https://www.reddit.com/api/v1/access_token',
      revocation: 'https://www.reddit.com/api/v1/revoke_token',
      clientAuthentication: 'client_secret_basic',
      pkce: false,
      authorizationParameters: { duration: 'permanent' },
      quirks: ['errorWithSuccess'],
    },
  ],
  [
    'zoom',
    {
      title: 'Zoom',
      docs: 'https://developers.zoom.us/docs/integrations/oauth/',
      authorization: 'https://zoom.us/oauth/authorize',
      token: 'https://zoom.us/oauth/token',
      revocation: 'https://zoom.us/oauth/revoke',
      clientAuthentication: 'client_secret_basic',
      pkce: true,
    },
  ],
  [
    'twitch',
    {
      title: 'Twitch',
      docs: 'https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/',
      // unconfirmed: that scopes are a list, and revocation
      authorization: 'https://id.twitch.tv/oauth2/authorize',
      token: 'https://id.twitch.tv/oauth2/token',
      revocation: 'https://id.twitch.tv/oauth2/revoke',
      clientAuthentication: 'client_secret_post',
      pkce: false,
      quirks: ['scopeList'],
      clientHeader: 'client-id',
    },
  ],
  [
    'spotify',
    {
      title: 'Spotify',
      docs: 'https://developer.spotify.com/documentation/web-api/tutorials/code-flow',
      // unconfirmed: its page was not at hand when this row was written
      authorization: 'https://accounts.spotify.com/authorize',
      token: 'https://accounts.spotify.com/api/token',
      clientAuthentication: 'client_secret_basic',
      pkce: true,
    },
  ],
  [
    'dropbox',
    {
      title: 'Dropbox',
      docs: 'https://developers.dropbox.com/oauth-guide',
      // unconfirmed: its page was not at hand when this row was written
      authorization: 'https://www.dropbox.com/oauth2/authorize',
      token: 'https://api.dropboxapi.com/oauth2/token',
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      authorizationParameters: { token_access_type: 'offline' },
    },
  ],
  [
    'notion',
    {
      title: 'Notion',
      docs: 'https://developers.notion.com/reference/create-a-token',
      authorization: 'https://api.notion.com/v1/oauth/authorize',
      token: 'https://api.notion.com/v1/oauth/token',
      // …/reference/revoke-token wants JSON, which RFC 7009 does not know
      clientAuthentication: 'client_secret_basic',
      pkce: false,
      authorizationParameters: { owner: 'user' },
      json: true,
    },
  ],
  [
    'hubspot',
    {
      title: 'HubSpot',
      docs: 'https://developers.hubspot.com/docs/api-reference/auth-oauth-v1/guide',
      // unconfirmed: its page was not at hand when this row was written
      authorization: 'https://app.hubspot.com/oauth/authorize',
      token: 'https://api.hubapi.com/oauth/v1/token',
      clientAuthentication: 'client_secret_post',
      // unconfirmed for apps of this kind
      pkce: false,
      quirks: ['statusError'],
      graveErrors: ['BAD_REFRESH_TOKEN'],
    },
  ],
  [
    'stripe',
    {
      title: 'Stripe',
      docs: 'https://docs.stripe.com/connect/oauth-reference',
      authorization: 'https://connect.stripe.com/oauth/authorize',
      token: 'https://connect.stripe.com/oauth/token',
      // the secret is the platform's API key; deauthorization is by account, not by token
      clientAuthentication: 'client_secret_post',
      pkce: false,
    },
  ],
  [
    'zendesk',
    {
      title: 'Zendesk',
      docs: 'https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/',
      authorization: 'https://{subdomain}.zendesk.com/oauth/authorizations/new',
      token: 'https://{subdomain}.zendesk.com/oauth/tokens',
      clientAuthentication: 'client_secret_post',
      // developer.zendesk.com/documentation/api-basics/authentication/oauth-pkce
      pkce: true,
      json: true,
    },
  ],
  [
    'gitlab',
    {
      title: 'GitLab',
      docs: 'https://docs.gitlab.com/api/oauth2/',
      // unconfirmed: its page was not at hand when this row was written
      discovery: `https://{domain}/${openid}`,
      defaults: { domain: 'gitlab.com' },
      clientAuthentication: 'client_secret_post',
      pkce: true,
    },
  ],
  [
    'asana',
    {
      title: 'Asana',
      docs: 'https://developers.asana.com/docs/oauth',
      authorization: 'https://app.asana.com/-/oauth_authorize',
      token: 'https://app.asana.com/-/oauth_token',
      revocation: 'https://app.asana.com/-/oauth_revoke',
      clientAuthentication: 'client_secret_post',
      pkce: true,
    },
  ],
  [
    'box',
    {
      title: 'Box',
      docs: 'https://developer.box.com/guides/authentication/oauth2/oauth2-setup/',
      // unconfirmed: its page was not at hand when this row was written
      authorization: 'https://account.box.com/api/oauth2/authorize',
      token: 'https://api.box.com/oauth2/token',
      revocation: 'https://api.box.com/oauth2/revoke',
      clientAuthentication: 'client_secret_post',
      pkce: false,
    },
  ],
])
