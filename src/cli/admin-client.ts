/** The admin API of a running gateway, as the commands that change something in it use it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadSettings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { anonymous } from '../auth/authenticate.ts'
import type { Target } from '../core/model.ts'
import { sign } from '../credentials/provider.ts'
import { createEgress } from '../egress/fetch.ts'
import { apiKey } from '../credentials/api-key.ts'
import { Secret } from '../core/secret.ts'

/** Sends one request with the admin token and gives the answer's JSON. Throws with the gateway's own words. */
export async function admin(
  config: string | undefined,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
): Promise<unknown> {
  const settings = loadSettings(config, 'own')
  const { host, port } = settings.admin
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  const origin = `http://${name.includes(':') ? `[${name}]` : name}:${port}`
  const file = join(settings.dataDir, 'admin-token')
  const token = settings.adminToken ?? (existsSync(file) ? new Secret(readFileSync(file, 'utf8').trim()) : undefined)
  if (token === undefined)
    throw new GatewayError('bad_config', { words: `There is no admin token in ${file} yet. Start the gateway first.` })
  const egress = createEgress({ allow: [new URL(origin).host], clock: systemClock })
  const provider = apiKey({ in: 'header', name: 'Authorization', prefix: 'Bearer', value: token })
  const request = {
    method,
    url: `${origin}${path}`,
    headers: new Map(body === undefined ? [] : [['content-type', 'application/json']]),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }
  try {
    const { request: signed } = await sign(request, provider, anonymous, targetAt(origin))
    const response = await egress
      .channel(origin)
      .send(signed, { timeoutMs: limits.targetTimeoutMs, bodyBytes: limits.responseBodyBytes, repeatable: false })
    const text = response.body.toString('utf8')
    const answer: unknown = text === '' ? undefined : JSON.parse(text)
    if (response.status < 300) return answer
    throw new GatewayError(response.status === 404 ? 'not_found' : 'invalid_request', {
      words: wordsOf(answer) ?? `The gateway answered ${response.status}.`,
    })
  } catch (cause) {
    if (cause instanceof GatewayError && cause.code === 'target_unreachable')
      throw new GatewayError('target_unreachable', { words: `No gateway answers at ${origin}. Is it running?`, cause })
    throw cause
  } finally {
    await egress.close()
  }
}

const targetAt = (origin: string): Target => ({
  name: 'admin',
  kind: 'openapi',
  origin,
  basePath: '',
  timeoutMs: limits.targetTimeoutMs,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
})

const wordsOf = (answer: unknown): string | undefined => {
  const error = typeof answer === 'object' && answer !== null && 'error' in answer ? answer.error : undefined
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string'
    ? error.message
    : undefined
}
