import { runtimeVersion } from "firebrand";
import { Classifier } from "./classifier.js";

export default function Page() {
  return (
    <main>
      <p id="server">{runtimeVersion}</p>
      <Classifier />
    </main>
  );
}
