import type { Progress } from './progress.ts'

/** What `holdfast doctor` is told of a data folder. */
export interface StoreReport {
  readonly ok: boolean
  readonly [fact: string]: unknown
}

/** Tools of the embedded store that work on a data folder without a server. */
export interface StoreTools {
  backupStore(dataDir: string, destDir: string, onProgress?: (progress: Progress) => void): Promise<unknown>
  restoreStore(srcDir: string, dataDir: string): Promise<unknown>
  checkStore(dataDir: string, onProgress?: (progress: Progress) => void): Promise<StoreReport>
  renewEpoch(dataDir: string): Promise<unknown>
}

export async function loadStoreTools(): Promise<StoreTools> {
  const name = '@holdfast/store-sqlite'
  return (await import(name)) as StoreTools
}
