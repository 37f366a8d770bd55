/** A key in a header (with an optional prefix such as `Bearer`), in the query or in a cookie. */
import { GatewayError } from '../core/errors.ts'
import type { OutboundRequest } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import type { CredentialProvider } from './provider.ts'

export interface ApiKeyOptions {
  readonly in: 'header' | 'query' | 'cookie'
  readonly name: string
  readonly prefix?: string
  readonly value: Secret
}

export function apiKey(options: ApiKeyOptions): CredentialProvider {
  const { in: place, name, value } = options
  const encoded = { header: String, query: encodeURIComponent, cookie: cookieOctets }[place](value.reveal())
  const secrets = place === 'header' ? [value] : [value, new Secret(encoded)]
  return {
    kind: 'apiKey',
    place: { in: place, name },
    apply: (request) => ({ request: withKey(request, options), secrets }),
  }
}

function withKey(request: OutboundRequest, { in: place, name, prefix, value }: ApiKeyOptions): OutboundRequest {
  switch (place) {
    case 'header': {
      const text = prefix === undefined ? value.reveal() : `${prefix} ${value.reveal()}`
      return { ...request, headers: new Map(request.headers).set(name.toLowerCase(), text) }
    }
    case 'query': {
      refuseTaken(queryNames(request.url), name)
      const pair = `${encodeURIComponent(name)}=${encodeURIComponent(value.reveal())}`
      return { ...request, url: `${request.url}${request.url.includes('?') ? '&' : '?'}${pair}` }
    }
    case 'cookie': {
      const present = request.headers.get('cookie')
      refuseTaken(
        (present ?? '').split('; ').map((pair) => pair.split('=', 1)[0] ?? ''),
        name,
      )
      const pair = `${name}=${cookieOctets(value.reveal())}`
      const cookie = present === undefined ? pair : `${present}; ${pair}`
      return { ...request, headers: new Map(request.headers).set('cookie', cookie) }
    }
  }
}

/** What no cookie-octet is (RFC 6265 §4.1.1) goes as percent triples; the rest as it is. */
const cookieOctets = (text: string): string =>
  text.replace(/[^\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+/gu, encodeURIComponent)

const queryNames = (url: string): string[] => [...new URL(url).searchParams.keys()]

/** An argument that spreads its members over the query or the cookies must not put one where the credential goes. */
function refuseTaken(names: readonly string[], name: string): void {
  if (names.includes(name))
    throw new GatewayError('request_unbuildable', {
      words: `An argument has a member called ${name}, and that place is the credential’s.`,
    })
}
