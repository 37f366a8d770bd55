/** The rows of the vendor table for identity providers: what they guard is the operator’s own APIs. */
import type { Vendor } from './vendor.ts'

const openid = '.well-known/openid-configuration'

export const identityVendors: readonly (readonly [string, Vendor])[] = [
  [
    'microsoft',
    {
      title: 'Microsoft',
      docs: 'https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow',
      // unconfirmed: its page was not at hand when this row was written
      authorization: 'https://login.microsoftonline.com/{tenantId}/oauth2/v2.0/authorize',
      token: 'https://login.microsoftonline.com/{tenantId}/oauth2/v2.0/token',
      clientAuthentication: 'client_secret_post',
      pkce: true,
      offlineScopes: ['offline_access'],
      graveErrors: ['interaction_required', 'consent_required', 'login_required'],
    },
  ],
  [
    'okta',
    {
      title: 'Okta',
      docs: 'https://developer.okta.com/docs/reference/api/oidc/',
      // unconfirmed: its page was not at hand when this row was written
      discovery: `https://{domain}/oauth2/{authorizationServer}/${openid}`,
      defaults: { authorizationServer: 'default' },
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      offlineScopes: ['offline_access'],
    },
  ],
  [
    'onelogin',
    {
      title: 'OneLogin',
      docs: 'https://developers.onelogin.com/openid-connect/api/provider-config',
      // unconfirmed: Basic (POST is a setting of the application)
      discovery: `https://{subdomain}.onelogin.com/oidc/2/${openid}`,
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      // issued when the application has refresh tokens switched on; a scope for it is unconfirmed
    },
  ],
  [
    'pingone',
    {
      title: 'PingOne',
      docs: 'https://developer.pingidentity.com/pingone-api/auth/openid-connect-oauth-2/discovery-openid-configuration.html',
      discovery: `https://auth.pingone.{region}/{environmentId}/as/${openid}`,
      defaults: { region: 'com' },
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      // issued when the application has the grant type refresh_token
    },
  ],
  [
    'cyberark',
    {
      title: 'CyberArk',
      docs: 'https://docs.cyberark.com/identity/latest/en/content/applications/appscustom/openidaddconfigapp.htm',
      // unconfirmed; discoveryUrl in the configuration goes before it
      discovery: `https://{domain}/{applicationId}/${openid}`,
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      offlineScopes: ['offline_access'],
    },
  ],
  [
    'fusionauth',
    {
      title: 'FusionAuth',
      docs: 'https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/endpoints',
      // unconfirmed: its page was not at hand when this row was written
      authorization: 'https://{domain}/oauth2/authorize',
      token: 'https://{domain}/oauth2/token',
      // its issuer is a setting of the tenant and need not be its address
      clientAuthentication: 'client_secret_basic',
      pkce: true,
      offlineScopes: ['offline_access'],
    },
  ],
  [
    'auth0',
    {
      title: 'Auth0',
      docs: 'https://auth0.com/docs/get-started/authentication-and-authorization-flow/authorization-code-flow-with-pkce',
      // unconfirmed: its page was not at hand when this row was written
      discovery: `https://{domain}/${openid}`,
      clientAuthentication: 'client_secret_post',
      pkce: true,
      offlineScopes: ['offline_access'],
    },
  ],
  [
    'cognito',
    {
      title: 'Amazon Cognito',
      docs: 'https://docs.aws.amazon.com/cognito/latest/developerguide/federation-endpoints.html',
      // unconfirmed: its page was not at hand when this row was written
      discovery: `https://cognito-idp.{region}.amazonaws.com/{userPoolId}/${openid}`,
      clientAuthentication: 'client_secret_basic',
      pkce: true,
    },
  ],
]
