/** JSON lines for the operator. Fields are written out by name at the call site; an error shows its code and causes. */
import pino from 'pino'
import { GatewayError } from './errors.ts'

interface LogFields {
  readonly [field: string]: unknown
}

export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** Whether debug lines are written: what would be costly to say is not said for nothing. */
  readonly debugs: boolean
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Logs go to standard error; standard output belongs to results. */
export function createLog(level: LogLevel): Log {
  const destination = pino.destination({ fd: 2, sync: false, minLength: 0 })
  // When nobody reads the log any more, the gateway goes on without.
  destination.on('error', () => undefined)
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  const write = (at: 'debug' | 'info' | 'warn' | 'error') => (fields: LogFields, message: string) => {
    logger[at]('error' in fields ? { ...fields, error: describe(fields['error']) } : fields, message)
  }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    debugs: logger.isLevelEnabled('debug'),
  }
}

/** Code, words and the chain of causes of whatever was thrown, bounded. */
function describe(thrown: unknown, depth = 0): LogFields {
  if (!(thrown instanceof Error)) return { message: String(thrown).slice(0, 500) }
  const code = thrown instanceof GatewayError ? thrown.code : (thrown as { code?: unknown }).code
  return {
    ...(typeof code === 'string' ? { code } : {}),
    message: thrown.message.slice(0, 500),
    ...(thrown instanceof GatewayError
      ? {}
      : {
          stack: thrown.stack
            ?.split('\n')
            .slice(1, 6)
            .map((line) => line.trim()),
        }),
    ...(thrown.cause === undefined || depth > 3 ? {} : { cause: describe(thrown.cause, depth + 1) }),
  }
}
