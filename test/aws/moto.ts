/** Moto's server: an independent implementation of AWS's services, with IAM's checks when they are asked for. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')

/** Where `.ci/moto` puts it. */
export const motoServer = join(cache, 'toolgate/moto/bin/moto_server')
export const hasMoto = existsSync(motoServer)

export interface Moto {
  readonly origin: string
  /** `host:port`, for `egress.allow`. */
  readonly address: string
  /** An action of a service with the query protocol, as nobody in particular; the values of the elements of its answer. */
  query(service: string, parameters: Record<string, string>): Promise<(element: string) => string>
  /** An action of Secrets Manager, as nobody in particular. */
  secrets(action: string, parameters: Record<string, unknown>): Promise<void>
  /** A new key of KMS; its id. */
  newKey(): Promise<string>
  /** From now on IAM checks each request, or none. */
  check(on: boolean): Promise<void>
  close(): Promise<void>
}

/** What routes a request to a service where nothing is checked. */
const anybody = (service: string): string =>
  `AWS4-HMAC-SHA256 Credential=anybody/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`

export async function startMoto(): Promise<Moto> {
  const child = spawn(motoServer, ['-H', '127.0.0.1', '-p', '0'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const address = await addressOf(child)
  const origin = `http://${address}`
  const post = async (path: string, body: string, headers: Record<string, string> = {}): Promise<string> => {
    const response = await fetch(`${origin}${path}`, { method: 'POST', body, headers })
    const text = await response.text()
    if (!response.ok) throw new Error(`${response.status} ${text}`)
    return text
  }
  return {
    origin,
    address,
    async query(service, parameters) {
      const text = await post('/', new URLSearchParams(parameters).toString(), {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: anybody(service),
      })
      return (element) => new RegExp(`<${element}>([^<]*)</${element}>`).exec(text)?.[1] ?? ''
    },
    async secrets(action, parameters) {
      await post('/', JSON.stringify(parameters), {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `secretsmanager.${action}`,
        authorization: anybody('secretsmanager'),
      })
    },
    async newKey() {
      const text = await post('/', '{}', {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': 'TrentService.CreateKey',
        authorization: anybody('kms'),
      })
      return (JSON.parse(text) as { KeyMetadata: { KeyId: string } }).KeyMetadata.KeyId
    },
    check: async (on) => void (await post('/moto-api/reset-auth', on ? '0' : 'inf')),
    async close() {
      if (child.exitCode !== null) return
      child.kill()
      await once(child, 'exit')
    },
  }
}

/** The server chooses a free port and says which. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const address = /Running on http:\/\/(127\.0\.0\.1:\d+)/.exec(said)?.[1]
      if (address !== undefined) resolve(address)
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`moto ended: ${said}`)))
  })
}
