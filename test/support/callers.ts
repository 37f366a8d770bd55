/** Callers as they come: with a token, a key or a signature, in either era; and the command that makes their keys. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { SignatureV4 } from '@smithy/signature-v4'
import { Sha256 } from '../unit/auth/support.ts'
import type { IdentityProvider, TokenClaims } from './identity-provider.ts'
import { modernRequest, post } from './mcp.ts'
import { type Loose, legacyHeaders } from './wire.ts'

const bin = join(import.meta.dirname, '../../bin/toolgate.mjs')

export type Fields = { readonly [header: string]: string }

export const bearer = (token: string): Fields => ({ authorization: `Bearer ${token}` })

export interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** The command as it is typed in a folder, with pipes. */
export function runIn(dir: string, ...words: readonly string[]): Promise<Ran> {
  const child = spawn(process.execPath, [bin, ...words], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, out, err }))
  })
}

/** A token as the provider gives them, for whom the test wants: `claims` take part in it. */
export const tokenOf = (provider: IdentityProvider, audience: string, claims: TokenClaims): Promise<string> => {
  const now = Math.floor(Date.now() / 1_000)
  const usual = { iss: provider.issuer, aud: audience, client_id: 'app', scope: 'tools', iat: now, exp: now + 600 }
  return provider.sign({ ...usual, jti: crypto.randomUUID(), ...claims })
}

/** What stands in an answer for its reader, without what differs from one answer to the next. */
export interface Shown {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly text: string
}

type Answered = Pick<Awaited<ReturnType<typeof post>>, 'status' | 'headers' | 'text'>

export const shownOf = ({ status, headers, text }: Answered): Shown => ({
  status,
  headers: Object.fromEntries([...headers].filter(([name]) => name !== 'date')),
  text,
})

/** A caller of `mcp`, the URL of an endpoint, who sends `fields` with each request. */
export function callerOf(mcp: string, fields: Fields) {
  const modern = (method: string, params: object = {}, id: unknown = 1) => {
    const { headers, body } = modernRequest(method, params, id)
    return post(mcp, { ...headers, ...fields }, body)
  }
  const legacy = (method: string, params: object = {}, session?: string, id: unknown = 1) =>
    post(mcp, { ...legacyHeaders('2025-11-25', session), ...fields }, { jsonrpc: '2.0', id, method, params })
  const namesIn = (answer: Loose): string[] => answer.result.tools.map(({ name }: { name: string }) => name)
  return {
    mcp,
    fields,
    modern,
    legacy,
    call: (name: string, args: object = {}, more: object = {}) =>
      modern('tools/call', { name, arguments: args, ...more }),
    callLegacy: (name: string, args: object = {}, session?: string) =>
      legacy('tools/call', { name, arguments: args }, session),
    list: async () => namesIn((await modern('tools/list')).json),
    listLegacy: async () => namesIn((await legacy('tools/list')).json),
    /** A session of 2025-11-25. */
    initialize: async (capabilities: object = {}): Promise<string> => {
      const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'test', version: '1' } }
      const answer = await legacy('initialize', params, undefined, 0)
      return answer.headers.get('mcp-session-id') ?? ''
    },
  }
}

export type Caller = ReturnType<typeof callerOf>

export interface AccessKeyPair {
  readonly id: string
  readonly key: string
}

/** Signs as the AWS SDK for JavaScript does, for `bedrock-agentcore` unless another service is given. */
export const signerOf = ({ id, key }: AccessKeyPair, service = 'bedrock-agentcore', sessionToken?: string) =>
  new SignatureV4({
    service,
    region: 'eu-central-1',
    sha256: Sha256,
    credentials: { accessKeyId: id, secretAccessKey: key, ...(sessionToken === undefined ? {} : { sessionToken }) },
  })

/** The parts of a request that a signer of `@smithy` takes. */
export function unsigned(url: string, fields: Fields, body: object) {
  const { protocol, hostname, port, host, pathname: path } = new URL(url)
  const headers = { host, ...fields }
  return {
    method: 'POST',
    protocol,
    hostname,
    port: Number(port),
    path,
    query: {},
    headers,
    body: JSON.stringify(body),
  }
}

/** A call signed in its header. */
export async function callSigned(signer: SignatureV4, mcp: string, name: string) {
  const { headers, body } = modernRequest('tools/call', { name, arguments: {} })
  const { host: _, ...signed } = (await signer.sign(unsigned(mcp, headers, body))).headers
  return post(mcp, signed, body)
}

/** Lines of the usage spool under a gateway’s folder that begin or end a call. */
export function spooled(dir: string): { readonly kind: 'b' | 'e'; readonly call: Loose }[] {
  return filesUnder(join(dir, '.toolgate/usage'))
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .flatMap((line) => {
      const value: Loose = line === '' ? {} : JSON.parse(line)
      return (['b', 'e'] as const).flatMap((kind) => (value[kind] === undefined ? [] : [{ kind, call: value[kind] }]))
    })
}

export const filesUnder = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((path) => join(dir, path))
    .filter((path) => statSync(path).isFile())
