/** Usage straight from the data folder, whether the gateway runs or not. */
import { join } from 'node:path'
import { loadSettings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { spoolDir } from '../meter/spool.ts'
import { createUsage, type Usage } from '../meter/usage.ts'
import { privateDir } from '../store/files.ts'
import { openSqliteStore } from '../store/sqlite.ts'

export async function withUsage<T>(config: string | undefined, act: (usage: Usage) => Promise<T>): Promise<T> {
  const { dataDir, metering } = loadSettings(config, 'left')
  const store = openSqliteStore(join(privateDir(dataDir), 'toolgate.db'))
  try {
    return await act(
      createUsage({
        ...{ dir: spoolDir(dataDir), store, clock: systemClock },
        ...{ prices: metering, keepsPrices: false, billed: new Set(metering.billed.outcomes) },
        // to take segments away is the serving process’s business, which knows what is still to be exported
        ...{ retentionDays: metering.retentionDays, holdFrom: () => Promise.resolve({ segment: '', offset: 0 }) },
      }),
    )
  } finally {
    await store.close()
  }
}

/** What a reader should know of the prices, on standard error. */
export const tell = (notes: readonly string[] = []): void => {
  for (const note of notes) process.stderr.write(`toolgate: ${note}\n`)
}
