/** Files of exported usage: whole and durable before they are seen, and what receivers refused put aside beside the ledger. */
import { statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { limits } from '../core/limits.ts'
import { privateDir, replaceFile } from './files.ts'

/** Those who run what reads the files may be of the gateway’s group. */
const exportMode = 0o640

/** Puts `bytes` at `path`; its name, too, is durable when this resolves. */
export async function writeExport(path: string, bytes: Uint8Array): Promise<void> {
  await replaceFile(path, bytes, exportMode)
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Lines put aside, in `dataDir/exports/NAME.refused.ndjson` (mode 0600). */
export interface RefusedFile {
  /** Appends lines, durably. False, and nothing written, when the file has no room: none is dropped for another. */
  add(lines: readonly string[]): Promise<boolean>
}

export const refusedFile = (dataDir: string, name: string): RefusedFile => {
  const folder = join(dataDir, 'exports')
  const path = join(folder, `${name}.refused.ndjson`)
  return {
    async add(lines) {
      const text = lines.map((line) => `${line}\n`).join('')
      const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
      if (bytes + Buffer.byteLength(text) > limits.exportRefusedBytes) return false
      privateDir(folder)
      const file = await open(path, 'a', 0o600)
      try {
        await file.appendFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      return true
    },
  }
}
