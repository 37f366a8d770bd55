/** Servers that give back what they were sent, in every way in which an answer can go wrong. */
import type { ServerResponse } from 'node:http'
import type { Recorded } from '../support/recorder.ts'

/** Answers with `leak` where it does not belong. */
type Trouble = (leak: string, response: ServerResponse) => void

const inJson = 'application/json'
const answer = (response: ServerResponse, status: number, type: string, body: string, fields: object = {}): void =>
  void response.writeHead(status, { 'content-type': type, ...fields }).end(body)

/** As a header field may have it. */
const inField = (leak: string): string => leak.replaceAll(/[^\x20-\x7e]/g, ' ')

export const troubles: { readonly [name: string]: Trouble } = {
  refusal: (leak, response) =>
    answer(
      response,
      400,
      inJson,
      JSON.stringify({ error: 'invalid_client', error_description: leak, error_uri: leak }),
    ),
  code: (leak, response) => answer(response, 400, inJson, JSON.stringify({ error: leak, message: leak })),
  challenge: (leak, response) =>
    answer(response, 401, 'text/plain', leak, {
      'www-authenticate': `Bearer error="invalid_token", error_description="${inField(leak).replaceAll('"', '')}"`,
    }),
  forbidden: (leak, response) => answer(response, 403, 'text/html', `<h1>${leak}</h1>`),
  broken: (leak, response) => answer(response, 500, 'text/html', `<h1>${leak}</h1>`),
  page: (leak, response) => answer(response, 200, 'text/html', `<h1>${leak}</h1>`),
  'no JSON': (leak, response) => answer(response, 200, inJson, leak),
  'cut JSON': (leak, response) => answer(response, 200, inJson, `{"access_token":"x","token_type":${leak}`),
  'wrong members': (leak, response) =>
    answer(response, 200, inJson, JSON.stringify({ access_token: `${leak}\n`, token_type: leak, expires_in: leak })),
  bytes: (leak, response) => answer(response, 200, 'application/octet-stream', leak),
  encoded: (leak, response) => answer(response, 200, inJson, JSON.stringify({ url: encodeURIComponent(leak) })),
  encoding: (leak, response) => answer(response, 200, inJson, leak, { 'content-encoding': 'gzip' }),
  redirect: (leak, response) =>
    answer(response, 307, 'text/plain', leak, { location: `https://evil.example/?x=${encodeURIComponent(leak)}` }),
  'a field that is none': (leak, response) =>
    void response.socket?.end(`HTTP/1.1 200 OK\r\nX-Leak ${inField(leak)}\r\n\r\n`),
  'no HTTP': (leak, response) => void response.socket?.end(`${leak}\r\n\r\n`),
  'an end too early': (leak, response) => {
    response.writeHead(200, { 'content-type': inJson, 'content-length': 100_000, 'x-leak': inField(leak) })
    response.write(leak, () => response.destroy())
  },
  'no answer': (_leak, response) => void response.socket?.destroy(),
}

/** The request as it came, and the parts of it that are secrets in some requests, each alone and decoded. */
export function sentIn({ url, headers, body }: Recorded): string {
  const { authorization = '' } = headers
  const form = new URLSearchParams(body.toString())
  const parts = [
    url,
    ...Object.values(headers).flat(),
    body.toString(),
    decodeURIComponent(url),
    ...form.values(),
    ...(authorization.startsWith('Basic ') ? [Buffer.from(authorization.slice(6), 'base64').toString()] : []),
  ]
  return parts.join(' ; ')
}
