/** Reading the configuration: file → checked values → secrets resolved. The only place that looks at the environment. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { ZodError } from 'zod'
import { GatewayError } from '../core/errors.ts'
import { versionOf } from '../core/hash.ts'
import { limits } from '../core/limits.ts'
import { Secret } from '../core/secret.ts'
import type { KmsRef } from '../credentials/aws/kms.ts'
import { exportReferences } from './export-schema.ts'
import { isFixed, referencesOf } from './providers.ts'
import { quotaReferences } from './quota-schema.ts'
import { type Config, configSchema, type InboundConfig, type SecretRef, type TargetConfig } from './schema.ts'

const defaultConfigFile = 'gateway.config.json'

/** The configuration with its paths made absolute and its secrets found. */
export interface Settings extends Omit<Config, 'admin'> {
  readonly admin: Omit<Config['admin'], 'tools'> & { readonly tools: boolean }
  /** Absolute path of the file it came from, whether it exists or not. */
  readonly file: string
  /** Secrets of credentials, exports and webhooks that the environment and files have, by their paths in the file. */
  readonly secretsFound: ReadonlyMap<string, Secret>
  /** The façade's client secrets by its provider's discovery URL. */
  readonly inboundSecrets: ReadonlyMap<string, Secret>
  /** The current key first, then retired ones; none when keys are made in the data folder. */
  readonly vaultKeys: readonly (Secret | KmsRef)[]
  readonly adminToken: Secret | undefined
  /** Where AWS's own settings say that this process is. */
  readonly awsRegion: string | undefined
  /** Changes when any of the secrets does, so that a rotated file takes effect on reload. */
  readonly secretsVersion: string
}

const bad = (words: string, cause?: unknown): GatewayError => new GatewayError('bad_config', { words, cause })

/**
 * Throws `bad_config` naming the path in the file. A named file must exist; without one, the default may be absent. With
 * `secrets: 'left'` none is looked up: enough to import, not to call; with `'own'` only the gateway's own are, not those of
 * credentials: enough to see to what it keeps.
 */
export function loadSettings(named?: string, secrets: 'found' | 'own' | 'left' = 'found'): Settings {
  const file = resolve(named ?? defaultConfigFile)
  const config = existsSync(file) || named !== undefined ? parseConfig(file) : configSchema.parse({})
  const base = dirname(file)
  checkNames(config)
  const texts: Buffer[] = []
  const secret = (ref: SecretRef, path: string): Secret => {
    const isWanted = secrets === 'found' || (secrets === 'own' && /^(?:vault|admin)\b/.test(path))
    const text = isWanted ? readSecret(ref, base, path) : '-'
    texts.push(Buffer.from(`${text}\0`))
    return new Secret(text)
  }
  const secretsFound = new Map(
    Object.entries(config.credentials)
      .flatMap(([name, entry]) => referencesOf(name, entry))
      .flatMap(([path, ref]) => (isFixed(ref) ? [[path, secret(ref, path)] as const] : [])),
  )
  for (const [path, ref] of [...exportReferences(config.metering.exports), ...quotaReferences(config.metering.quotas)])
    secretsFound.set(path, secret(ref, path))
  const adminToken = config.admin.token === undefined ? undefined : secret(config.admin.token, 'admin.token')
  return {
    ...config,
    // what the tools show is of all tenants
    admin: { ...config.admin, tools: config.admin.tools ?? inboundsOf(config).length === 0 },
    file,
    dataDir: resolve(base, config.dataDir),
    specs: resolve(base, config.specs),
    metering: {
      ...config.metering,
      ...(config.metering.archive === undefined ? {} : { archive: resolve(base, config.metering.archive) }),
    },
    targets: Object.fromEntries(
      Object.entries(config.targets).map(([name, target]) => [name, withPaths(target, (path) => resolve(base, path))]),
    ),
    secretsFound,
    adminToken,
    inboundSecrets: inboundSecrets(config, secret),
    vaultKeys: vaultKeys(config, secret),
    awsRegion: process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'],
    secretsVersion: versionOf(texts),
  }
}

/** Its paths made absolute. */
function withPaths(target: TargetConfig, absolute: (path: string) => string): TargetConfig {
  const { openapi, smithy, lambda, mcp, overlay } = target
  return {
    ...target,
    ...(openapi === undefined ? {} : { openapi: absolute(openapi) }),
    ...(smithy === undefined ? {} : { smithy: absolute(smithy) }),
    ...(lambda?.tools === undefined ? {} : { lambda: { ...lambda, tools: absolute(lambda.tools) } }),
    ...(mcp?.tools === undefined ? {} : { mcp: { ...mcp, tools: absolute(mcp.tools) } }),
    overlay: overlay.map(absolute),
  }
}

function parseConfig(file: string): Config {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    throw bad(`The configuration ${file} cannot be read.`, cause)
  }
  if (bytes.byteLength > limits.configBytes) throw bad(`The configuration is larger than ${limits.configBytes} bytes.`)
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    const where = cause instanceof Error ? (/\(line \d+ column \d+\)/.exec(cause.message)?.[0] ?? '') : ''
    throw bad(
      `The configuration is not JSON ${where}; comments and trailing commas are not JSON.`.replace(' ;', ';'),
      cause,
    )
  }
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) throw bad(`The configuration is wrong:\n${faults(parsed.error)}`)
  return parsed.data
}

const faults = (error: ZodError): string =>
  error.issues
    .flatMap((issue) => plainly(issue, []))
    .slice(0, 20)
    .map(({ path, message }) => `- ${path.length === 0 ? 'the file' : path.join('.')}: ${message}`)
    .join('\n')

type Issue = ZodError['issues'][number]
type Told = { readonly path: readonly PropertyKey[]; readonly message: string }

/** Of the forms that a value may have, what is wrong with the one that it comes closest to. */
function plainly(issue: Issue, above: readonly PropertyKey[]): Told[] {
  const path = [...above, ...issue.path]
  const forms = issue.code === 'invalid_union' ? issue.errors : []
  if (forms.length === 0 || issue.message !== 'Invalid input') return [{ path, message: issue.message }]
  const told = forms.map((issues) => issues.flatMap((inner) => plainly(inner, path)))
  const depth = (form: readonly Told[]): number => Math.max(0, ...form.map((one) => one.path.length))
  const [closest] = told.toSorted((a, b) => depth(b) - depth(a) || a.length - b.length)
  return closest ?? [{ path, message: issue.message }]
}

/** The key with which the command line comes as a caller: `TOOLGATE_KEY`. */
export function callerKey(): Secret | undefined {
  const key = process.env['TOOLGATE_KEY']
  return key === undefined || key === '' ? undefined : new Secret(key)
}

/** The ways in, besides everyone. */
export const inboundsOf = ({ inbound }: Pick<Config, 'inbound'>): readonly InboundConfig[] =>
  [inbound].flat().filter((way) => way.type !== 'none')

const inboundSecrets = (
  config: Config,
  secret: (ref: SecretRef, path: string) => Secret,
): ReadonlyMap<string, Secret> =>
  new Map(
    inboundsOf(config).flatMap((way) =>
      way.type === 'jwt' && way.clientSecret !== undefined
        ? [[way.discoveryUrl, secret(way.clientSecret, 'inbound.clientSecret')] as const]
        : [],
    ),
  )

function vaultKeys({ vault }: Config, secret: (ref: SecretRef, path: string) => Secret): readonly (Secret | KmsRef)[] {
  if (vault.key === undefined) {
    if (vault.retiredKeys.length > 0)
      throw bad('The configuration is wrong:\n- vault.retiredKeys: these need `vault.key` beside them')
    return []
  }
  return [vault.key, ...vault.retiredKeys].map((ref, index) =>
    'kms' in ref ? ref.kms : secret(ref, index === 0 ? 'vault.key' : `vault.retiredKeys.${index - 1}`),
  )
}

/** What one part of the configuration says of another. */
function checkNames(config: Config): void {
  const providers = inboundsOf(config).flatMap((way) => (way.type === 'jwt' ? [way.discoveryUrl] : []))
  if (new Set(providers).size < providers.length)
    throw bad('The configuration is wrong:\n- inbound: two ways have the same discoveryUrl')
  for (const [name, target] of Object.entries(config.targets)) {
    if (target.credential !== undefined && !Object.hasOwn(config.credentials, target.credential))
      throw bad(`The configuration is wrong:\n- targets.${name}.credential: there is no credential of this name`)
  }
}

function readSecret(ref: SecretRef, base: string, path: string): string {
  if ('env' in ref) {
    const value = process.env[ref.env]
    if (value === undefined || value === '') throw bad(`${path}: the environment variable ${ref.env} is not set.`)
    return value
  }
  let text: string
  try {
    const bytes = readFileSync(resolve(base, ref.file))
    if (bytes.byteLength > limits.secretBytes)
      throw bad(`${path}: the secret’s file is larger than ${limits.secretBytes} bytes.`)
    text = bytes.toString('utf8').trim()
  } catch (cause) {
    throw cause instanceof GatewayError ? cause : bad(`${path}: the file ${ref.file} cannot be read.`, cause)
  }
  if (text === '') throw bad(`${path}: the file ${ref.file} is empty.`)
  return text
}
