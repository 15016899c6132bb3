"""The MLU-100 target: C++ programs against CNML, and a stand-in for it that runs on the CPU."""
