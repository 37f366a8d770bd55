/**
 * The audit trail: who did what to keys, grants and secrets, when, and how it ended; never a value. Lines of JSON in
 * `dataDir/audit.ndjson` (mode 0600), written by the gateway and by the command line alike, so that it holds both.
 */
import { appendFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'

export interface AuditEntry {
  readonly act: string
  readonly outcome: string
  readonly [detail: string]: string | number | undefined
}

export interface AuditTrail {
  /** Never throws: an act that was done is not undone by a full disk; `onFault` hears of it. */
  note(entry: AuditEntry): void
}

/** `by` tells where an act came from: `gateway`, or `command line`. */
export function openAudit(dataDir: string, by: string, clock: Clock, onFault: (error: unknown) => void): AuditTrail {
  const path = join(dataDir, 'audit.ndjson')
  return {
    note(entry) {
      try {
        if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > limits.auditBytes) renameSync(path, `${path}.1`)
        appendFileSync(path, `${JSON.stringify({ at: new Date(clock.now()).toISOString(), by, ...entry })}\n`, {
          mode: 0o600,
        })
      } catch (error) {
        onFault(error)
      }
    },
  }
}
