/** How the gateway proves to an authorization server which client it is (RFC 6749 §2.3, RFC 7523 §2.2). */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { GatewayError } from '../../core/errors.ts'
import { Secret } from '../../core/secret.ts'
import type { ClientAuthentication, OAuthOptions } from './room.ts'
import type { Server } from './server.ts'
import type { Vendor } from './vendor.ts'

/** Throws `bad_config` when what the method needs is not configured. */
export function checkAuthentication(options: OAuthOptions): void {
  const method = options.clientAuthentication
  if (method === 'private_key_jwt' && options.privateKey === undefined) throw bad(options, 'needs a privateKey')
  if (method?.startsWith('client_secret') === true && options.clientSecret === undefined)
    throw bad(options, 'needs a clientSecret')
  if (options.privateKey !== undefined) readKey(options)
}

const bad = (options: OAuthOptions, what: string): GatewayError =>
  new GatewayError('bad_config', { words: `The credential ${options.name} ${what}.` })

/** The method in the configuration, else the vendor's, else what fits the secrets at hand and the server's metadata. */
export function methodFor(options: OAuthOptions, vendor: Vendor | undefined, server: Server): ClientAuthentication {
  if (options.clientAuthentication !== undefined) return options.clientAuthentication
  if (options.privateKey !== undefined && options.clientSecret === undefined && options.grant !== 'jwtBearer')
    return 'private_key_jwt'
  if (options.clientSecret === undefined) return 'none'
  if (vendor !== undefined) return vendor.clientAuthentication
  // RFC 8414 §2: without a word, it is Basic
  const methods = server.as.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  return methods.includes('client_secret_basic') || !methods.includes('client_secret_post')
    ? 'client_secret_basic'
    : 'client_secret_post'
}

/** Puts the client's proof on a request to the token or revocation endpoint. */
export async function authenticationOf(
  options: OAuthOptions,
  vendor: Vendor | undefined,
  server: Server,
): Promise<oauth.ClientAuth> {
  switch (methodFor(options, vendor, server)) {
    case 'client_secret_basic':
      return basic(await secretOf(options))
    case 'client_secret_post':
      return oauth.ClientSecretPost((await secretOf(options)).reveal())
    case 'private_key_jwt':
      return assertion(options, server)
    case 'none':
      return oauth.None()
  }
}

function secretOf(options: OAuthOptions): Secret | Promise<Secret> {
  const { clientSecret } = options
  if (clientSecret === undefined) throw bad(options, 'needs a clientSecret')
  return clientSecret instanceof Secret ? clientSecret : clientSecret.current()
}

/** After the server refused the client: whether its secret is another one now. */
export async function renewSecret({ clientSecret }: OAuthOptions): Promise<boolean> {
  if (clientSecret === undefined || clientSecret instanceof Secret) return false
  return clientSecret.renew(await clientSecret.current())
}

/**
 * RFC 6749 §2.3.1. The letters that a form may leave as they are (`-._*`) are left: encoding those too is as right,
 * but servers that do not decode the pair would then read another client id.
 */
const basic =
  (secret: Secret): oauth.ClientAuth =>
  (_as, client, _body, headers) => {
    const pair = `${formEncoded(client.client_id)}:${formEncoded(secret.reveal())}`
    headers.set('authorization', `Basic ${Buffer.from(pair).toString('base64')}`)
  }

const formEncoded = (text: string): string => new URLSearchParams([['', text]]).toString().slice(1)

async function assertion(options: OAuthOptions, server: Server): Promise<oauth.ClientAuth> {
  const { key, alg, header } = readKey(options)
  const cryptoKey = await importKey(key, alg)
  return oauth.PrivateKeyJwt(typeof header['kid'] === 'string' ? { key: cryptoKey, kid: header['kid'] } : cryptoKey, {
    [oauth.modifyAssertion]: (assertionHeader, payload) => {
      for (const [name, value] of Object.entries(header)) assertionHeader[name] = value
      // the issuer is what a server calls itself; where it is not known, the address that the assertion goes to
      payload['aud'] = server.knowsIssuer && server.discovered ? server.as.issuer : (server.as.token_endpoint ?? '')
    },
  })
}

export interface SigningKey {
  readonly key: KeyObject
  /** RFC 7518 §3.1. */
  readonly alg: string
  /** `kid`, `x5t` and `x5t#S256` of a JWK: how the server finds the public half. */
  readonly header: { readonly [name: string]: string }
}

/** Throws `bad_config`; never says anything of the key. */
export function readKey(options: OAuthOptions): SigningKey {
  const text = options.privateKey?.reveal().trim()
  if (text === undefined) throw bad(options, 'needs a privateKey')
  try {
    if (!text.startsWith('{')) {
      const key = createPrivateKey(text)
      return { key, alg: algorithmOf(key), header: {} }
    }
    const jwk: { [name: string]: unknown } = JSON.parse(text)
    const key = createPrivateKey({ key: jwk, format: 'jwk' })
    const header: { [name: string]: string } = {}
    for (const name of ['kid', 'x5t', 'x5t#S256']) {
      const value = jwk[name]
      if (typeof value === 'string') header[name] = value
    }
    return { key, alg: typeof jwk['alg'] === 'string' ? jwk['alg'] : algorithmOf(key), header }
  } catch {
    throw bad(options, 'has a privateKey that is neither an unencrypted PEM nor a private JWK of RSA, EC or Ed25519')
  }
}

const curves: ReadonlyMap<string | undefined, string> = new Map([
  ['prime256v1', 'ES256'],
  ['secp384r1', 'ES384'],
  ['secp521r1', 'ES512'],
])

function algorithmOf(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256'
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519'
  const alg = key.asymmetricKeyType === 'ec' ? curves.get(key.asymmetricKeyDetails?.namedCurve) : undefined
  if (alg === undefined) throw new TypeError('unknown kind of key')
  return alg
}

const subtle: ReadonlyMap<string, Parameters<KeyObject['toCryptoKey']>[0]> = new Map([
  ...['256', '384', '512'].flatMap((bits): [string, Parameters<KeyObject['toCryptoKey']>[0]][] => [
    [`RS${bits}`, { name: 'RSASSA-PKCS1-v1_5', hash: `SHA-${bits}` }],
    [`PS${bits}`, { name: 'RSA-PSS', hash: `SHA-${bits}` }],
  ]),
  ['ES256', { name: 'ECDSA', namedCurve: 'P-256' }],
  ['ES384', { name: 'ECDSA', namedCurve: 'P-384' }],
  ['ES512', { name: 'ECDSA', namedCurve: 'P-521' }],
  ['Ed25519', { name: 'Ed25519' }],
  ['EdDSA', { name: 'Ed25519' }],
])

async function importKey(key: KeyObject, alg: string): Promise<oauth.CryptoKey> {
  const algorithm = subtle.get(alg)
  if (algorithm === undefined) throw new GatewayError('bad_config', { words: `No key can sign with ${alg} here.` })
  return key.toCryptoKey(algorithm, false, ['sign'])
}
